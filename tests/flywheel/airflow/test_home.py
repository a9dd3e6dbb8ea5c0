"""The files of a loop's Airflow: secrets made once, for their owner alone."""

import json
import stat
from pathlib import Path

import pytest

from flywheel.airflow.home import Home
from labeling.processes import ServerError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "loop")
    made.make()
    return made


def test_secrets_are_their_owners(home: Home) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [home.path, *home.path.iterdir()]}
    assert modes == {"airflow": 0o700, "login.json": 0o600, "secrets.json": 0o600}


def test_the_login_is_kept_as_airflow_reads_it(home: Home) -> None:
    assert json.loads(home.login_file.read_text()) == {"admin": home.password()}


def test_a_second_start_has_the_same_secrets(home: Home) -> None:
    again = Home(home.loop, port=1)
    again.make()
    assert (again.password(), again.secrets()) == (home.password(), home.secrets())


def test_no_two_loops_share_them(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.make()
    assert other.password() != home.password()
    assert {other.secrets().fernet, other.secrets().jwt}.isdisjoint({home.secrets().fernet, home.secrets().jwt})


def test_printed_secrets_stay_secret(home: Home) -> None:
    assert home.secrets().jwt not in repr(home.secrets())


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"admin": 7}', b'{"admin": ""}', b"\xff"])
def test_a_damaged_login_is_told(home: Home, text: bytes) -> None:
    home.login_file.write_bytes(text)
    with pytest.raises(ServerError, match=r"login\.json is damaged: expected JSON with admin; .*delete it"):
        home.password()


def test_a_login_that_was_deleted_is_made_anew(home: Home) -> None:
    before = home.password()
    home.login_file.unlink()
    home.make()
    assert home.password() != before
