from __future__ import annotations

from benchmarks.profile import Calls, table

CALLS: Calls = {
    ("/a/b/relay/codec.py", 7, "encode"): (10, 10, 0.001, 0.002, {}),
    ("~", 0, "<built-in method zlib.crc32>"): (20, 20, 0.003, 0.003, {}),
}


def test_functions_are_shown_per_message_and_the_dearest_first() -> None:
    assert table(CALLS, messages=10, functions=2).splitlines()[2:] == [
        "| 400.00 | 3.00 | all |",
        "| 300.00 | 2.00 | `built-in method zlib.crc32` |",
        "| 100.00 | 1.00 | `encode` relay/codec.py:7 |",
    ]


def test_no_more_than_asked_for_are_shown() -> None:
    assert len(table(CALLS, messages=10, functions=1).splitlines()) == 4
