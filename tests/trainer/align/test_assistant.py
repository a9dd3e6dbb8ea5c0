import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.talk.serve.conftest import write_model
from trainer.align.assistant import AssistantConfig, assistant, main
from trainer.checkpoint import read_about
from trainer.log import Record
from trainer.progress import Silent

WORDS = ["cat", "dog", "bird", "house", "river"]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A base model of random weights, 100 demonstrations, as many comparisons, and prompts with their answers."""
    folder = tmp_path_factory.mktemp("given")

    def write(name: str, rows: list[dict[str, Any]]) -> tuple[Path]:
        path = folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return (path,)

    asked = [(f"say {one} {other} {number}", one) for number in range(4) for one in WORDS for other in WORDS]
    return {
        "model": write_model(folder / "base", 1),
        "demonstrations": write("d.jsonl", [{"prompt": text, "completion": word} for text, word in asked]),
        "comparisons": write(
            "c.jsonl", [{"prompt": text, "chosen": word, "rejected": "the the the"} for text, word in asked]
        ),
        "prompts": write("p.jsonl", [{"prompt": text, "answer": word} for text, word in asked]),
        "verifier": "exact",
        "rl_steps": 2,
        "max_new_tokens": 8,
        "device": "cpu",
    }


class StopAfter(Silent):
    """Stops when a stage has begun and done some steps, as Ctrl-C would."""

    def __init__(self, stage: str, steps: int) -> None:
        self.stage, self.steps, self.here = stage, steps, False

    def note(self, text: str) -> None:
        if text.startswith("stage "):
            self.here = self.stage in text

    def step(self, record: Record) -> None:
        if self.here and record.step == self.steps:
            raise KeyboardInterrupt


class Unused(Silent):
    """Fails where a stage is begun."""

    def note(self, text: str) -> None:
        raise AssertionError(text)


def shorter(path: Path, folder: Path) -> Path:
    """All rows of a file but the last."""
    (folder / path.name).write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return folder / path.name


@pytest.mark.slow
def test_all_stages_are_made_and_stand_side_by_side(given: dict[str, Any], tmp_path: Path) -> None:
    result = assistant(AssistantConfig(output=tmp_path / "one", **given))
    assert [stage.name for stage in result.stages] == ["base", "sft", "rl"]
    about = read_about(result.checkpoint)
    assert about.stage == "rl"
    assert about.parent == result.stages[1].checkpoint
    assert result.stages[0].beside is None
    assert result.stages[2].beside is not None
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    assert report["prompts"]["held out"] == result.stages[1].accuracy.count > 0  # type: ignore[union-attr]
    page = (tmp_path / "one" / "report.html").read_text()
    assert result.checkpoint.name
    assert all(stage.checkpoint[:12] in page for stage in result.stages)

    stopped = AssistantConfig(output=tmp_path / "two", **given)
    with pytest.raises(KeyboardInterrupt):
        assistant(stopped, StopAfter("reward model", 1))
    with pytest.raises(ValueError, match=r"settings lies here \(--reward-epochs was not given, is now 2.0\)"):
        assistant(dataclasses.replace(stopped, rl_steps=1, reward_epochs=2.0), Unused())
    assert assistant(stopped).stages == result.stages
    with pytest.raises(ValueError, match=r"settings lies here \(--rl-steps was 2, is now 1\)"):
        assistant(dataclasses.replace(stopped, rl_steps=1), Unused())
    with pytest.raises(ValueError, match=r"settings lies here \(the comparisons are others\)"):
        assistant(dataclasses.replace(stopped, comparisons=(shorter(given["comparisons"][0], tmp_path),)), Unused())


def test_what_is_given_is_read_before_anything_is_trained(
    given: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"prompt": "a"}\n')
    arguments = ["--model", str(given["model"]), "--demonstrations", str(wrong), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--comparisons", str(given["comparisons"][0])]) == 1
    assert "wrong.jsonl:1" in capsys.readouterr().err
    assert not (tmp_path / "out" / "sft").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "give --corpus, to pre-train on, or --model"),
        ({"corpus": Path("c")}, "and not both"),
        ({"held_out": 0.0}, "the report needs prompts"),
        ({"verifier": "magic"}, "magic"),
        ({"base": "huge"}, '"huge" is neither a preset'),
        ({"prompts": ()}, "--verifier exact needs prompts with their right answers; give them by --prompts"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AssistantConfig(output=Path("out"), **{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": Path("none")}, "none: no such folder; give a checkpoint"),
        ({"model": None, "corpus": Path("none")}, "none: "),
    ],
)
def test_what_a_base_model_is_made_of_is_looked_at_before_any_stage(
    given: dict[str, Any], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        assistant(AssistantConfig(output=tmp_path / "out", **{**given, **changes}), Unused())
    assert not (tmp_path / "out").exists()


def test_an_output_with_others_files_is_refused_and_left_as_it_is(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="has something in it that no training made: prompts.jsonl. Nothing was"):
        assistant(AssistantConfig(output=tmp_path, **given), Unused())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
