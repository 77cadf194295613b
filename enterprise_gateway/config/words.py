"""A list of names or tokens that may be written as one comma-separated string."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from traitlets import List, Unicode

BRACKETS = ("[]", "()", "{}")


class Words(List[str]):
    """A list of strings; `"a,b"` is the same as `["a", "b"]` everywhere: config file, command line, environment.

    Args:
        default_value: What it holds when nothing is set.
        quoted: Whether `"['a', 'b']"` means two words as well, as EG's settings allow. Off for tokens, in which any
            character but the comma is their own.
        **kwargs: As for any trait.
    """

    info_text = "a list of strings, or one string with commas"

    def __init__(self, default_value: Iterable[str] = (), *, quoted: bool = True, **kwargs: Any) -> None:
        super().__init__(Unicode(), list(default_value), **kwargs)
        self.quoted = quoted

    def set(self, obj: Any, value: Any) -> None:
        """Take a string as it is: the base class would make it a list of one."""
        super().set(obj, self.split(value) if isinstance(value, str) else value)

    def validate(self, obj: Any, value: Any) -> Any:
        """Accept any collection of strings; keep a list."""
        if isinstance(value, set | frozenset):
            value = sorted(value)
        elif isinstance(value, tuple):
            value = list(value)
        return super().validate(obj, value)

    def from_string(self, s: str) -> list[str]:
        """Read one string of the environment or the command line."""
        return self.split(s)

    def from_string_list(self, s_list: list[str]) -> list[str]:
        """Read an option that may be given several times on the command line."""
        return [word for text in s_list for word in self.split(text)]

    def split(self, text: str) -> list[str]:
        """Split at commas, without blanks around a word and without empty words."""
        text = text.strip()
        if self.quoted and text[:1] + text[-1:] in BRACKETS:
            text = text[1:-1]
        words = (word.strip() for word in text.split(","))
        if self.quoted:
            words = (word.strip("'\"") for word in words)
        return [word for word in words if word]
