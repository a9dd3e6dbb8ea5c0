import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.tokenize.reader import ShardSet
from trainer import checkpoint
from trainer.arguments import from_arguments
from trainer.config import PretrainConfig
from trainer.learner import Learner, largest_divisor
from trainer.log import Record, read_log
from trainer.optimizer import DivergedError
from trainer.pretrain import main, pretrain
from trainer.progress import Silent
from trainer.sample import sample, sample_batch
from trainer.sampling import Sampling

TINY = "dim=32,layers=2,heads=2,kv_heads=1,hidden=64"


def config(shards: Path, output: Path, **changes: object) -> PretrainConfig:
    """20 steps of 8 windows of 32 tokens."""
    settings: dict[str, object] = {"model": TINY, "steps": 20, "seq_len": 32, "batch_tokens": 256, "device": "cpu"}
    if "minutes" in changes:
        del settings["steps"]
    return PretrainConfig(data=shards, output=output, **{**settings, **changes})  # type: ignore[arg-type]


def history(output: Path) -> list[tuple[int, float, float | None, float]]:
    """What a log says beside times."""
    return [(record.step, record.loss, record.val_loss, record.lr) for record in read_log(output / "log.jsonl")]


class Stopping(Silent):
    """Stops a run after a step, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after, self.facts, self.notes = after, dict[str, str](), list[str]()

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        self.facts = dict(facts)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: Record) -> None:
        if record.step == self.after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps without a break, checkpoints at 10 and 20."""
    output = tmp_path_factory.mktemp("straight")
    pretrain(config(shards, output, checkpoint_every=10, eval_every=5))
    return output


@pytest.mark.parametrize("stopped_after", [3, 10, 13])
def test_a_stopped_run_ends_as_one_that_was_not(
    shards: Path, tmp_path: Path, straight: Path, stopped_after: int
) -> None:
    settings = config(shards, tmp_path, checkpoint_every=10, eval_every=5)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, Stopping(stopped_after))
    result = pretrain(settings)
    assert history(tmp_path) == history(straight)
    assert [step for step, *_ in history(tmp_path)] == list(range(1, 21))
    for name in ("model.safetensors", "optimizer.safetensors", "checkpoint.json"):
        assert (result.last / name).read_bytes() == (straight / "step-000020" / name).read_bytes(), name


@pytest.mark.slow
def test_a_killed_process_ends_as_one_that_was_not(shards: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "killed", tmp_path / "straight"]
    options = [f"--data={shards}", f"--model={TINY}", "--steps=300", "--seq-len=32", "--batch-tokens=256"]
    options += ["--checkpoint-every=20", "--device=cpu"]
    commands = [[sys.executable, "-m", "trainer.pretrain", f"--output={output}", *options] for output in outputs]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(commands[0], env=environment, stdout=subprocess.DEVNULL)
    while len(read_log(outputs[0] / "log.jsonl")) < 50:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(read_log(outputs[0] / "log.jsonl")) < 300
    for command in commands:
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert history(outputs[0]) == history(outputs[1])
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (outputs[0] / "step-000300" / name).read_bytes() == (outputs[1] / "step-000300" / name).read_bytes()


def test_a_finished_run_is_not_run_again(shards: Path, straight: Path) -> None:
    before = (straight / "log.jsonl").read_bytes()
    result = pretrain(config(shards, straight, checkpoint_every=10, eval_every=5), Stopping(after=1))
    assert (straight / "log.jsonl").read_bytes() == before
    assert (result.steps, result.tokens) == (20, 20 * 256)
    assert result.id == checkpoint.load(straight).about.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "--seed was 0, is now 1"),
        ({"lr": 0.1}, "--lr was 0.002, is now 0.1"),
        ({"steps": 30}, "--steps was 20"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(
    shards: Path, straight: Path, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(config(shards, straight, **{"checkpoint_every": 10, "eval_every": 5, **changes}))


def test_another_corpus_is_another_run(
    make_shards: Callable[..., Path], sentences: list[str], tmp_path: Path, straight: Path
) -> None:
    other = make_shards(tmp_path / "other", sentences[:-1], 320)
    with pytest.raises(ValueError, match="the corpus is another"):
        pretrain(config(other, straight, checkpoint_every=10, eval_every=5))


def test_where_the_corpus_lies_does_not_matter(shards: Path, tmp_path: Path, straight: Path) -> None:
    moved = shutil.copytree(shards, tmp_path / "moved")
    assert pretrain(config(moved, straight, checkpoint_every=10, eval_every=5)).steps == 20


def test_the_loss_falls_and_the_best_checkpoint_is_that_of_the_lowest_validation_loss(
    shards: Path, tmp_path: Path
) -> None:
    result = pretrain(config(shards, tmp_path, steps=60, lr=0.01))
    records = read_log(tmp_path / "log.jsonl")
    assert records[0].loss > math.log(320) - 0.3
    assert records[-1].loss < records[0].loss - 1.5
    validated = {record.step: record.val_loss for record in records if record.val_loss is not None}
    assert list(validated) == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60]
    assert result.val_loss == min(validated.values())
    assert validated[checkpoint.read_about(result.checkpoint).step] == result.val_loss


def test_validation_is_the_mean_over_windows_and_bits_are_counted_by_true_bytes(
    shards: Path, sentences: list[str], straight: Path
) -> None:
    loaded, split = checkpoint.load(straight, "last"), ShardSet(shards, split="validation")
    tokens = torch.from_numpy(split.window(0, split.tokens).astype(np.int64))
    losses = [
        loaded.model(tokens[None, start : start + 32], tokens[None, start + 1 : start + 33]).item()
        for start in range(0, len(tokens) - 32, 32)
    ]
    assert loaded.about.val_loss == pytest.approx(np.mean(losses), rel=1e-5)
    text_bytes = sum(len(text.encode()) for text in sentences[-20:])
    assert loaded.about.bits_per_byte == pytest.approx(
        np.mean(losses) * split.tokens / text_bytes / math.log(2), rel=1e-5
    )


def test_accumulated_gradients_are_those_of_the_whole_batch(shards: Path, tmp_path: Path, straight: Path) -> None:
    pretrain(config(shards, tmp_path, checkpoint_every=10, eval_every=5, micro_batch_tokens=100))
    learner = Learner(config(shards, tmp_path, micro_batch_tokens=100))
    assert (learner.rows, learner.micro_rows) == (8, 2)  # 3 windows would fit, but 2 divide 8
    np.testing.assert_allclose(
        [loss for _, loss, *_ in history(tmp_path)], [loss for _, loss, *_ in history(straight)], rtol=1e-4
    )


@pytest.mark.parametrize(("number", "most", "expected"), [(8, 3, 2), (8, 8, 8), (8, 100, 8), (7, 6, 1), (12, 0, 1)])
def test_micro_batches_are_even(number: int, most: int, expected: int) -> None:
    assert largest_divisor(number, most) == expected


def test_minutes_become_a_number_of_steps_that_a_resumed_run_keeps(shards: Path, tmp_path: Path) -> None:
    settings = config(shards, tmp_path, minutes=0.01)
    with pytest.raises(KeyboardInterrupt):
        pretrain(settings, Stopping(1))
    path = tmp_path / "run.json"
    plan = json.loads(path.read_text())["plan"]
    assert plan["seconds_per_step"] > 0
    path.write_text(path.read_text().replace(f'"steps": {plan["steps"]}', '"steps": 5'))
    assert pretrain(settings).steps == 5


def test_measuring_leaves_no_trace(shards: Path, tmp_path: Path, straight: Path) -> None:
    learner = Learner(config(shards, tmp_path))
    learner.measure(0.0, 4)
    loss = learner.step(0, 0.001).loss
    assert loss == history(straight)[0][1]


def test_a_run_that_diverges_stops_and_names_step_and_checkpoint(shards: Path, tmp_path: Path) -> None:
    settings = config(shards, tmp_path, lr=1e30, warmup=0.0, checkpoint_every=1)
    with pytest.raises(DivergedError, match="is nan|norm nan") as caught:
        pretrain(settings)
    records = read_log(tmp_path / "log.jsonl")
    assert all(math.isfinite(record.loss) for record in records)
    assert f"step {len(records) + 1}: the " in str(caught.value)
    assert f"The last good checkpoint is {checkpoint.find(tmp_path, 'last')}." in str(caught.value)
    with pytest.raises(DivergedError):  # and again, at the same step
        pretrain(settings)
    assert read_log(tmp_path / "log.jsonl") == records


def test_too_little_text_is_refused(shards: Path, tmp_path: Path) -> None:
    tokens = ShardSet(shards).tokens
    message = f"{tokens} training tokens do not fill a window of --seq-len \\+ 1 = {tokens + 1}"
    with pytest.raises(ValueError, match=message):
        Learner(config(shards, tmp_path, seq_len=tokens))
    assert Learner(config(shards, tmp_path, seq_len=tokens - 1)).train.count == 1


def test_without_a_validation_split_the_last_checkpoint_is_the_best(
    make_shards: Callable[..., Path], sentences: list[str], tmp_path: Path
) -> None:
    shards, observer = make_shards(tmp_path / "shards", sentences, 320, validation_share=0), Stopping(after=0)
    result = pretrain(config(shards, tmp_path / "out"), observer)
    assert (result.val_loss, result.bits_per_byte) == (None, None)
    assert result.checkpoint == result.last
    assert "no validation split" in observer.notes[0]


def test_a_validation_split_shorter_than_a_window_makes_one_shorter_window(
    make_shards: Callable[..., Path], sentences: list[str], tmp_path: Path
) -> None:
    shards = make_shards(tmp_path / "shards", sentences, 320, validation_share=0.01)
    tokens = ShardSet(shards, split="validation").tokens
    learner = Learner(config(shards, tmp_path, seq_len=tokens + 10))
    assert learner.validation is not None
    assert (learner.validation.count, learner.validation.seq_len) == (1, tokens - 1)
    assert math.isfinite(learner.validate(1)[0])


def test_every_derived_number_is_shown(shards: Path, tmp_path: Path) -> None:
    observer = Stopping(after=0)
    pretrain(config(shards, tmp_path, steps=1), observer)
    assert "28.8 k parameters" in observer.facts["model"]
    assert observer.facts["steps"] == "1 of 256 tokens (1 x 8 windows)"
    assert {"corpus", "validation", "reads", "computes", "learning rate", "device"} <= set(observer.facts)


def test_the_trained_model_writes_words(shards: Path, sentences: list[str], tmp_path: Path) -> None:
    result = pretrain(config(shards, tmp_path, steps=100, lr=0.02))
    text = "".join(sample(result.checkpoint, "the old", 40, Sampling(temperature=0.5)))
    words, known = text.split()[1:-1], {word for sentence in sentences[:20] for word in sentence.split()}
    assert sum(word in known for word in words) > len(words) / 2
    assert sample_batch(tmp_path, ["the old", "a cat"], 40, Sampling(temperature=0.5))[0] == text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": None}, "give --steps or --minutes"),
        ({"steps": 5, "minutes": 1.0}, "give --steps or --minutes, and not both"),
        ({"seq_len": 0}, "--seq-len is 0; it must be at least 1"),
        ({"lr": 0.0}, "lr is 0.0; it must be more than 0"),
        ({"warmup": 1.5}, "warmup is 1.5; it is a share"),
        ({"schedule": "flat"}, 'schedule is "flat"; expected wsd, cosine'),
        ({"model": "giant"}, '"giant" is neither a preset'),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str) -> None:
    settings = {"data": Path("d"), "output": Path("o"), "steps": 5, **wrong}
    with pytest.raises(ValueError, match=message):
        PretrainConfig(**settings)  # type: ignore[arg-type]


def test_the_command_line_has_an_option_for_every_setting() -> None:
    given = [
        "--data",
        "d",
        "--output",
        "o",
        "--minutes",
        "1.5",
        "--batch-tokens",
        "512",
        "--compile",
        "--model",
        "micro",
    ]
    read = from_arguments(PretrainConfig, "pretrain", "about", given)
    settings = {"model": "micro", "minutes": 1.5, "batch_tokens": 512, "compile": True}
    assert read == PretrainConfig(data=Path("d"), output=Path("o"), **settings)  # type: ignore[arg-type]


def test_the_corpus_may_be_named_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    read = from_arguments(PretrainConfig, "pretrain", "about", ["d", "--output", "o", "--steps", "5"])
    assert read.data == Path("d")
    with pytest.raises(SystemExit):
        from_arguments(PretrainConfig, "pretrain", "about", ["--help"])
    assert "Usage: pretrain DATA --output OUTPUT [OPTIONS]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--output", "o", "--steps", "5"], "give the data once: DATA, or --data DATA"),
        (["d", "--data", "d", "--output", "o", "--steps", "5"], "give the data once"),
        (["d", "--steps", "5"], "the following arguments are required: --output"),
        (["d", "--output", "o"], "give --steps or --minutes"),
    ],
)
def test_a_wrong_command_line_is_told_in_two_lines(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        from_arguments(PretrainConfig, "pretrain", "about", given)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"error: {message}")
    assert told[1:] == ["pretrain --help shows what can be given."]


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "out"), "--steps", "5"]) == 1
    assert "error:" in capsys.readouterr().err


@pytest.mark.slow
def test_the_loss_falls_on_real_text(make_shards: Callable[..., Path], shared_data: Path, tmp_path: Path) -> None:
    pages = [json.loads(line)["text"] for line in (shared_data / "text" / "c4_demo.jsonl").open()]
    shards = make_shards(tmp_path / "shards", pages, 2048)
    result = pretrain(PretrainConfig(data=shards, output=tmp_path / "out", steps=200, eval_tokens=8192, device="cpu"))
    assert result.val_loss is not None
    assert result.val_loss < math.log(2048) - 1.5
    words = "".join(sample(result.checkpoint, "The", 60)).split()
    assert sum(word.strip(".,").isalpha() for word in words) > len(words) / 2
