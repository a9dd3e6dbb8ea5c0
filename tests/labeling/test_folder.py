"""The folder's secrets stay its owner's, and its connection leads where it should."""

import fcntl
import stat
from pathlib import Path

import pytest

from labeling.folder import Connection, Folder, FolderError
from labeling.private import write_private

HERE = Connection("http://127.0.0.1:8080", "abc")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    return Folder(tmp_path / "some" / "labels")


def test_a_connection_is_kept_for_its_owner_alone(folder: Folder) -> None:
    folder.save_connection(HERE)
    assert folder.connection() == HERE
    assert stat.S_IMODE(folder.connection_file.stat().st_mode) == 0o600
    assert [file.name for file in folder.path.iterdir()] == ["connection.json"]


def test_an_earlier_file_that_others_could_read_is_closed_to_them(folder: Folder) -> None:
    folder.make()
    folder.connection_file.write_text("{}")
    folder.connection_file.chmod(0o644)
    folder.save_connection(HERE)
    assert stat.S_IMODE(folder.connection_file.stat().st_mode) == 0o600


def test_the_variables_token_wins(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.save_connection(HERE)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "other\n")
    assert folder.connection() == Connection(HERE.url, "other")


def test_the_token_is_not_in_what_is_printed_of_a_connection() -> None:
    assert "abc" not in repr(HERE)


def test_a_folder_without_a_connection_says_how_to_get_one(folder: Folder) -> None:
    with pytest.raises(FolderError, match="corpuscle label connect URL"):
        folder.client()


def test_a_server_that_is_still_starting_is_told(folder: Folder) -> None:
    folder.make()
    with folder.lock_file.open("w") as server:
        fcntl.flock(server, fcntl.LOCK_EX)
        with pytest.raises(FolderError, match="is still starting; repeat this when .* has printed"):
            folder.connection()
    with pytest.raises(FolderError, match="knows no Label Studio server yet"):  # it was killed before it was up
        folder.connection()


@pytest.mark.parametrize("text", ["", "[]", '{"url": "http://host"}', '{"url": "nowhere", "token": "x"}', "\xff"])
def test_a_damaged_connection_is_told(folder: Folder, text: str) -> None:
    folder.make()
    folder.connection_file.write_text(text, encoding="latin-1")
    with pytest.raises(FolderError, match="connection.json is damaged"):
        folder.connection()


def test_a_file_in_the_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("")
    with pytest.raises(FolderError, match="name another --folder"):
        Folder(tmp_path / "labels").database()


def test_the_store_is_made_on_first_use(folder: Folder) -> None:
    with folder.database():
        assert (folder.path / "store.sqlite").exists()


def test_another_store_can_be_named(folder: Folder, tmp_path: Path) -> None:
    with Folder(folder.path, f"sqlite:///{tmp_path}/elsewhere.sqlite").database():
        assert (tmp_path / "elsewhere.sqlite").exists()


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
