import json
from pathlib import Path

import pytest

from pipeline.tokenize.vocabulary import train as train_vocabulary
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.align import improve
from trainer.align.improve import ImproveConfig, Improver
from trainer.measure.tasks import write
from trainer.model import Llama, ModelConfig
from trainer.progress import Silent
from trainer.records import read_demonstrations, read_prompts, split
from trainer.talk.conversation import Message

SHAPE = ModelConfig(380, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=24)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = train_vocabulary(["digit 0123456789: the river ran to the old house"] * 20, 380)
    return save_model(tmp_path_factory.mktemp("base"), Llama(SHAPE, seed=1), vocabulary)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Prompts that all want a 7, and demonstrations that answer any of three digits."""
    folder = tmp_path_factory.mktemp("data")
    write(folder / "prompts.jsonl", [{"prompt": f"digit {number}", "answer": "7"} for number in range(60)])
    rows = [
        {"prompt": f"digit {number}", "completion": str(digit)} for number in range(100, 120) for digit in (5, 6, 7)
    ]
    write(folder / "demonstrations.jsonl", rows)
    return folder / "prompts.jsonl", folder / "demonstrations.jsonl"


def config(base: Path, data: tuple[Path, Path], output: Path, **settings: object) -> ImproveConfig:
    usual: dict[str, object] = {
        "verifier": "exact",
        "demonstrations": (data[1],),
        "rounds": 2,
        "samples": 4,
        "keep": 2,
        "max_new_tokens": 4,
        "steps": 40,
        "lr": 1e-2,
        "held_out": 0.3,
    }
    return ImproveConfig(model=base, data=(data[0],), output=output, **{**usual, **settings})  # type: ignore[arg-type]


class Watching(Silent):
    def __init__(self, until: str = "") -> None:
        self.until, self.notes = until, list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)
        if self.until and text.startswith(self.until):
            raise KeyboardInterrupt


def test_what_is_right_is_learnt_until_nothing_else_is_said(
    base: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    found = improve.improve(config(base, data, tmp_path))
    before, *_, after = found.rounds
    assert (before.number, before.kept, before.solved) == (0, 0, None)
    assert before.demonstrations == after.demonstrations == 60
    assert after.kept > 30
    assert after.solved is not None
    assert after.solved > 0.8
    assert before.accuracy.value < 0.9 <= after.accuracy.value
    assert after.checkpoint == checkpoint.load(found.checkpoint).about.id
    start = checkpoint.read_about(checkpoint.find(base)).id
    assert checkpoint.load(tmp_path / "round-2").about.parent == start, "each round starts from the original"
    rounds = json.loads((tmp_path / "evaluation.json").read_text())
    assert [row["accuracy"]["value"] for row in rounds] == [one.accuracy.value for one in found.rounds]


def test_only_right_answers_to_training_prompts_are_kept_each_once(
    base: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    improve.improve(config(base, data, tmp_path, rounds=1, samples=6))
    kept = read_demonstrations(tmp_path / "round-1" / "kept.jsonl")
    train, _ = split(read_prompts(data[0]), 0.3)
    assert kept.duplicates == 0
    assert {one.messages[-1].content.strip() for one in kept} == {"7"}
    assert {one.prompt for one in kept} <= {one.messages for one in train}


@pytest.mark.parametrize("keep", [1, 2])
def test_of_a_prompt_so_many_different_answers_are_kept(
    base: Path, data: tuple[Path, Path], tmp_path: Path, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    improver = Improver(config(base, data, tmp_path, keep=keep), Silent())
    said = [Message("assistant", text) for text in ("7", "7", " 7", "7 ")]
    monkeypatch.setattr(improver, "_answers", lambda model, prompts, sampling, samples: [said] * len(prompts))
    right = improver._right(checkpoint.load(base), 1)
    assert [[one.messages[-1].content for one in several] for several in right] == [["7", " 7"][:keep]] * len(right)


@pytest.mark.slow
def test_a_stopped_run_does_no_round_again_and_ends_the_same(
    base: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    straight = improve.improve(config(base, data, tmp_path / "straight"))
    settings = config(base, data, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        improve.improve(settings, Watching("round 1"))
    made = (tmp_path / "stopped" / "round-0" / "evaluation.json").stat().st_mtime_ns
    again = Watching()
    stopped = improve.improve(settings, again)
    assert stopped.rounds == straight.rounds
    assert not any(note.startswith("round 0") for note in again.notes)
    assert (tmp_path / "stopped" / "round-0" / "evaluation.json").stat().st_mtime_ns == made
    with pytest.raises(ValueError, match="samples was 4, is now 5"):
        improve.improve(config(base, data, tmp_path / "stopped", samples=5))


def test_without_demonstrations_it_starts_with_the_model_itself(
    base: Path, data: tuple[Path, Path], tmp_path: Path
) -> None:
    first = improve.improve(config(base, data, tmp_path / "first", rounds=1))
    watching = Watching()
    settings = config(first.checkpoint, data, tmp_path / "second", rounds=1, demonstrations=())
    second = improve.improve(settings, watching)
    assert second.rounds[0].checkpoint == first.rounds[-1].checkpoint
    assert second.rounds[0].accuracy == first.rounds[-1].accuracy


def test_a_model_that_is_never_right_stays_as_it_is(base: Path, data: tuple[Path, Path], tmp_path: Path) -> None:
    watching = Watching()
    found = improve.improve(config(base, data, tmp_path, rounds=1, demonstrations=()), watching)
    assert found.rounds[1].kept == 0
    assert found.rounds[1].checkpoint == checkpoint.read_about(checkpoint.find(base)).id
    assert any("not one of the samples is right" in note for note in watching.notes)


def test_the_command_prints_the_rounds(
    base: Path, data: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(base), "--data", str(data[0]), "--demonstrations", str(data[1]), "--verifier", "exact"]
    arguments += ["--output", str(tmp_path / "out"), "--rounds", "1", "--samples", "2", "--steps", "2"]
    arguments += ["--max-new-tokens", "4"]
    assert improve.main(arguments) == 0
    assert "own answers" in capsys.readouterr().out
    assert improve.main([*arguments, "--seed", "3"]) == 1
    assert "seed was 0, is now 3" in capsys.readouterr().err
