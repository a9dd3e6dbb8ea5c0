import json
import shutil
from pathlib import Path

import pytest

from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find, read_about
from trainer.pointer import Canary, Pointer, read_pointer, write_pointer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pointed")
    for seed, name in enumerate(("a", "b")):
        write_model(folder / "runs" / name, seed)
    return folder


def pointed(models: Path, name: str) -> Pointer:
    folder = find(models / "runs" / name)
    return Pointer(folder, read_about(folder).id, 3)


def test_what_was_written_is_read(models: Path) -> None:
    file = models / "models" / "current.json"
    write_pointer(file, pointed(models, "a"))
    found = read_pointer(file)
    assert (found.id, found.promotion) == (pointed(models, "a").id, 3)
    assert found.folder.resolve() == pointed(models, "a").folder.resolve()


def test_the_whole_may_be_moved(models: Path, tmp_path: Path) -> None:
    write_pointer(models / "models" / "current.json", pointed(models, "b"))
    shutil.copytree(models, tmp_path / "elsewhere")
    assert tmp_path in read_pointer(tmp_path / "elsewhere" / "models" / "current.json").folder.resolve().parents


def test_a_folder_with_another_checkpoint_is_not_served(models: Path) -> None:
    file = models / "current.json"
    write_pointer(file, Pointer(pointed(models, "a").folder, pointed(models, "b").id))
    with pytest.raises(ValueError, match="promote it again"):
        read_pointer(file)


@pytest.mark.parametrize("text", ["", "[]", "{}", '"a"', json.dumps({"path": 3, "id": "x"})])
def test_a_file_that_is_no_pointer_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "current.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="no pointer"):
        read_pointer(file)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="promote a checkpoint first"):
        read_pointer(tmp_path / "current.json")


def test_a_canary_is_written_beside_and_read_with_its_share(models: Path, tmp_path: Path) -> None:
    file, canary = models / "models" / "tried.json", pointed(models, "b")
    first = pointed(models, "a")
    write_pointer(file, Pointer(first.folder, first.id, 4, Canary(canary.folder, canary.id, 0.25)))
    shutil.copytree(models, tmp_path / "elsewhere")
    found = read_pointer(tmp_path / "elsewhere" / "models" / "tried.json").canary
    assert found is not None
    assert (found.id, found.share) == (canary.id, 0.25)
    assert tmp_path in found.folder.resolve().parents


@pytest.mark.parametrize(
    "canary", ["b", {}, {"path": "b", "id": "x", "share": 1}, {"path": "b", "id": "x", "share": 0}]
)
def test_half_a_canary_is_none(models: Path, canary: object) -> None:
    file = models / "half.json"
    write_pointer(file, pointed(models, "a"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"canary": canary}))
    with pytest.raises(ValueError, match="no pointer"):
        read_pointer(file)


def test_a_canary_that_is_gone_does_not_hide_what_most_people_talk_to(models: Path) -> None:
    file, first = models / "gone.json", pointed(models, "a")
    write_pointer(file, Pointer(first.folder, first.id, 4, Canary(models / "nowhere", "x", 0.5)))
    assert read_pointer(file).id == first.id
