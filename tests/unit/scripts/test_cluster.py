from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import cluster


@pytest.mark.nginx
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    conf = cluster.write_nginx_conf(tmp_path, 18890, [18891, 18892, 18893])
    command = [cluster.find_nginx(), "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(conf)]

    tried = subprocess.run(command, capture_output=True, text=True, check=False)

    assert tried.returncode == 0, tried.stderr


def test_nginx_balances_over_all_replicas_without_sticky_sessions(tmp_path: Path) -> None:
    text = cluster.write_nginx_conf(tmp_path, 18890, [18891, 18892]).read_text()

    assert text.count("server 127.0.0.1:1889") == 2
    assert "listen 127.0.0.1:18890;" in text
    assert "ip_hash" not in text
    assert "hash " not in text


def test_a_missing_nginx_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *args, **kwargs: None)

    with pytest.raises(SystemExit, match="apt-get install nginx"):
        cluster.find_nginx()


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "killed by SIGKILL")])
def test_how_a_process_ended_is_put_into_words(code: int, words: str) -> None:
    assert cluster.ending(code) == words
