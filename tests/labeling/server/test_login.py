"""The administrator's login: made at random, kept for its owner alone."""

import stat
from pathlib import Path

import pytest

from labeling.server.login import Login, LoginError, make_login, read_login, write_login


def test_a_login_is_read_as_it_was_written(tmp_path: Path) -> None:
    login = make_login()
    write_login(tmp_path / "login.txt", login)
    assert read_login(tmp_path / "login.txt") == login
    assert stat.S_IMODE((tmp_path / "login.txt").stat().st_mode) == 0o600


def test_no_two_are_alike() -> None:
    one, other = make_login(), make_login()
    assert one.password != other.password
    assert one.token != other.token
    assert len(one.token) == 40


def test_a_printed_login_keeps_its_secrets() -> None:
    assert "secret" not in repr(Login("me@localhost", "secret-1", "secret-2"))


def test_where_there_is_no_file_there_is_no_login(tmp_path: Path) -> None:
    assert read_login(tmp_path / "login.txt") is None


@pytest.mark.parametrize("text", [b"", b"email: a\npassword: b\n", b"\xff\xfe"])
def test_a_damaged_file_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "login.txt").write_bytes(text)
    with pytest.raises(LoginError, match="login.txt has no line"):
        read_login(tmp_path / "login.txt")
