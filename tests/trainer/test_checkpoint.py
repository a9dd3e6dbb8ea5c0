import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import pytest
import torch

from trainer.checkpoint import About, checkpoint_id, find, load, read_about, read_state, save, write_whole
from trainer.model import Llama, ModelConfig

CONFIG = ModelConfig(31, 24, 2, 6, 2, 40, 16)


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "any.model"
    path.write_bytes(b"pieces")
    return path


def put(output: Path, vocabulary: Path, step: int, val_loss: float | None, seed: int = 0) -> Path:
    weights = Llama(CONFIG, seed).state_dict()
    digest = hashlib.sha256(vocabulary.read_bytes()).hexdigest()
    about = About(
        id=checkpoint_id(weights, CONFIG, digest),
        step=step,
        model=CONFIG,
        vocabulary_sha256=digest,
        bos_id=1,
        corpus_sha256="c0ffee",
        val_loss=val_loss,
    )
    return save(output, about, weights, {"step.model.norm.weight": torch.tensor(3.0)}, vocabulary)


def names(output: Path) -> set[str]:
    return {path.name for path in output.glob("step-*")}


def test_what_is_saved_is_read_again(tmp_path: Path, vocabulary: Path) -> None:
    folder = put(tmp_path / "out", vocabulary, 7, 2.5)
    read = load(folder)
    weights, expected = read.model.state_dict(), Llama(CONFIG).state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert (read.about.step, read.about.val_loss, read.about.model) == (7, 2.5, CONFIG)
    assert read_state(folder) == {"step.model.norm.weight": torch.tensor(3.0)}


def test_a_checkpoint_needs_nothing_beside_its_folder(tmp_path: Path, vocabulary: Path) -> None:
    folder = put(tmp_path / "out", vocabulary, 7, None)
    elsewhere = Path(shutil.move(folder, tmp_path / "elsewhere"))
    vocabulary.unlink()
    assert load(elsewhere).vocabulary.read_bytes() == b"pieces"


def test_the_same_weights_are_the_same_bytes(tmp_path: Path, vocabulary: Path) -> None:
    first, second = (put(tmp_path / name, vocabulary, 7, 2.5) for name in ("a", "b"))
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_the_id_is_that_of_weights_shape_and_vocabulary() -> None:
    weights = Llama(CONFIG).state_dict()
    before = checkpoint_id(weights, CONFIG, "a")
    assert before == checkpoint_id(Llama(CONFIG).state_dict(), CONFIG, "a")
    assert before != checkpoint_id(weights, CONFIG, "b")
    assert before != checkpoint_id(weights, dataclasses.replace(CONFIG, rope_theta=5e5), "a")
    weights["model.norm.weight"][3] += 1e-6
    assert before != checkpoint_id(weights, CONFIG, "a")


def test_the_best_and_the_last_are_kept(tmp_path: Path, vocabulary: Path) -> None:
    for step, val_loss in [(10, 3.0), (20, 2.0), (30, 2.5), (40, 2.0)]:
        put(tmp_path / "out", vocabulary, step, val_loss)
    assert names(tmp_path / "out") == {"step-000020", "step-000040"}  # the earlier of two equals is the best
    assert find(tmp_path / "out").name == "step-000020"
    assert find(tmp_path / "out", "last").name == "step-000040"
    put(tmp_path / "out", vocabulary, 50, 1.9)
    assert names(tmp_path / "out") == {"step-000050"}


def test_a_checkpoint_without_a_validation_loss_does_not_take_the_place_of_one_that_has_it(
    tmp_path: Path, vocabulary: Path
) -> None:
    put(tmp_path / "out", vocabulary, 5, None)
    put(tmp_path / "out", vocabulary, 10, 3.0)
    assert find(tmp_path / "out").name == "step-000010"
    put(tmp_path / "out", vocabulary, 13, None)
    assert find(tmp_path / "out").name == "step-000010"
    assert find(tmp_path / "out", "last").name == "step-000013"


def test_who_may_read_one_file_of_a_checkpoint_may_read_all(tmp_path: Path, vocabulary: Path) -> None:
    folder = put(tmp_path / "out", vocabulary, 7, 2.5)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_a_checkpoint_whose_folder_is_gone_is_named(tmp_path: Path, vocabulary: Path) -> None:
    shutil.rmtree(put(tmp_path / "out", vocabulary, 7, 2.5))
    with pytest.raises(FileNotFoundError, match="step-000007 is missing, though .*checkpoints.json names it"):
        load(tmp_path / "out")


def test_without_validation_the_last_is_the_best(tmp_path: Path, vocabulary: Path) -> None:
    for step in (10, 20):
        put(tmp_path / "out", vocabulary, step, None)
    assert find(tmp_path / "out").name == "step-000020"
    assert names(tmp_path / "out") == {"step-000020"}


def test_what_a_killed_run_left_half_written_does_not_exist(tmp_path: Path, vocabulary: Path) -> None:
    output = tmp_path / "out"
    put(output, vocabulary, 10, 3.0)
    (output / ".step-000020.part").mkdir()
    (output / ".step-000020.part" / "model.safetensors").write_bytes(b"half")
    shutil.copytree(output / "step-000010", output / "step-000020")  # killed before it was named
    (output / "step-000020" / "checkpoint.json").write_text("{}")
    assert find(output, "last").name == "step-000010"
    put(output, vocabulary, 20, 2.0)
    assert read_about(find(output)).step == 20


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model"])
def test_a_changed_file_is_noticed(tmp_path: Path, vocabulary: Path, name: str) -> None:
    folder = put(tmp_path / "out", vocabulary, 7, 2.5)
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match="changed or damaged after it was saved"):
        load(folder)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds neither checkpoint.json nor checkpoints.json"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="none: no such folder; give a checkpoint"):
        load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="file is a file; give a checkpoint"):
        load(tmp_path / "file")


def test_a_private_file_is_for_its_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    path, part = tmp_path / "said.jsonl", tmp_path / f".said.jsonl.{os.getpid()}.part"
    for one in (path, part):
        one.write_text("of an earlier time")
        one.chmod(0o644)
    write_whole(path, "what a user has written", private=True)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("what a user has written", 0o600)
    assert not part.exists()
