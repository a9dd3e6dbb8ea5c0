"""The folder's secrets stay its owner's, and its connection leads where it should."""

import fcntl
import stat
from pathlib import Path

import pytest

from labeling.folder import Connection, Folder, FolderError
from labeling.private import write_private
from labeling.quality.simulate import project
from labeling.store.labels import add_project

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


def noted(folder: Folder, url: str) -> Folder:
    """The same folder, as one finds it who names no store."""
    named = Folder(folder.path, url)
    named.make()
    named.note_store()
    return Folder(folder.path)


def test_a_store_that_was_noted_is_found_by_who_names_none(folder: Folder, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    with Folder(folder.path, url).database():
        assert noted(folder, url).store_url == url
    with folder.database() as database:
        assert database.name == url
    assert not (folder.path / "store.sqlite").exists()
    assert Folder(folder.path, "sqlite:////another.sqlite").store_url == "sqlite:////another.sqlite"


def test_a_noted_password_is_its_owner_s_alone(folder: Folder) -> None:
    url = "postgresql+psycopg://me:secret@host/labels"
    assert noted(folder, url).store_url == url
    assert stat.S_IMODE(folder.store_file.stat().st_mode) == 0o600


def test_a_relative_store_is_found_from_any_folder(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = noted(folder, "sqlite:///some/store.sqlite")
    monkeypatch.chdir("/")
    assert found.store_url == f"sqlite:///{tmp_path}/some/store.sqlite"


def test_a_store_beside_the_folder_moves_with_it(folder: Folder, tmp_path: Path) -> None:
    noted(folder, f"sqlite:///{folder.path.parent}/store.sqlite")
    folder.path.parent.rename(tmp_path / "moved")
    assert Folder(tmp_path / "moved" / "labels").store_url == f"sqlite:///{tmp_path}/moved/store.sqlite"


def test_projects_in_the_folder_s_own_store_are_not_hidden_by_a_note(folder: Folder, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    with folder.database() as database:
        assert noted(folder, url).store_url == url  # an empty one was made by who forgot to name the other
        folder.store_file.unlink()
        add_project(database, project("cooking", "corrections"))
    assert noted(folder, url).store_url == f"sqlite:///{folder.path}/store.sqlite"


def test_a_noted_store_that_is_gone_is_told_and_not_made(folder: Folder, tmp_path: Path) -> None:
    found = noted(folder, f"sqlite:///{tmp_path}/elsewhere.sqlite")
    with pytest.raises(FolderError, match=r"looked for .*elsewhere.sqlite.*store.url names it: put it back"):
        found.database()
    assert not (tmp_path / "elsewhere.sqlite").exists()


@pytest.mark.parametrize("text", ["", "nowhere", "mysql://me:secret@host/x"])
def test_a_damaged_note_is_told_without_its_password(folder: Folder, text: str) -> None:
    folder.make()
    folder.store_file.write_text(text)
    with pytest.raises(FolderError, match="store.url is no store's URL") as told:
        folder.database()
    assert "secret" not in str(told.value)


def test_a_write_that_fails_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
