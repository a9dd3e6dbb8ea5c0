import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.align.conftest import Watching
from tests.trainer.align.rl.conftest import SHAPE
from tests.trainer.conftest import save_model
from trainer import checkpoint
from trainer.align.rl.command import main, rl
from trainer.align.rl.config import RlConfig
from trainer.align.rl.guard import alike
from trainer.align.rl.rollout import Rollouts, rollouts
from trainer.align.rl.stage import BEYOND, Rl
from trainer.log import read_log
from trainer.model import RewardModel
from trainer.records import read_prompts, split
from trainer.sampling import Sampling


def config(start: Path, data: Path, output: Path, **settings: object) -> RlConfig:
    usual: dict[str, object] = {
        "verifier": "exact",
        "prompts": 8,
        "samples": 8,
        "max_new_tokens": 4,
        "held_out": 0.3,
        "steps": 4,
        "lr": 3e-3,
        "warmup": 0.0,
    }
    return RlConfig(model=start, data=(data,), output=output, **{**usual, **settings})  # type: ignore[arg-type]


def tuner(settings: RlConfig) -> Rl:
    return Rl(settings, *split(read_prompts(settings.data), settings.held_out), "0" * 64)


def metric(output: Path, name: str) -> list[float]:
    return [record.metrics[name] for record in read_log(output / "log.jsonl")]


PPO = {"algorithm": "ppo", "inner_epochs": 2, "minibatches": 2, "kl_coef": 0.01}


@pytest.mark.parametrize("variant", [{}, PPO], ids=["grpo", "ppo"])
def test_a_rewarded_answer_becomes_the_usual_one(
    start: Path, data: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    result = rl(config(start, data, tmp_path, steps=25, **variant))
    rewards = metric(tmp_path, "reward")
    assert rewards[0] < 0.3
    assert rewards[-1] > 0.7
    assert metric(tmp_path, "kl")[0] == 0
    assert 0.5 < metric(tmp_path, "kl")[-1] < 10
    assert metric(tmp_path, "entropy")[-1] < metric(tmp_path, "entropy")[0]
    assert result.metrics["held_out_accuracy"] > 0.7
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert found["sampled"]["accuracy_after"]["value"] == result.metrics["held_out_accuracy"]
    assert found["sampled"]["duel"]["wins"] > found["sampled"]["duel"]["losses"]
    assert found["checkpoint"] == result.id
    assert result.report is not None
    assert result.report.prompts == found["prompts"]
    about = checkpoint.load(tmp_path).about
    assert (about.stage, about.head, about.parent) == ("rl", "lm", checkpoint.read_about(checkpoint.find(start)).id)


UNUSUAL = {"normalise": "sequence", "unscaled": True, "kl_coef": 0.1, "inner_epochs": 2, "minibatches": 3}
VARIANTS: list[Any] = [
    pytest.param({}, marks=pytest.mark.slow),
    pytest.param(UNUSUAL, marks=pytest.mark.slow),
    {**PPO, "micro_batch_tokens": 400},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_stopped_run_ends_as_one_that_was_not(
    start: Path, data: Path, reward_model: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    results = []
    for name, stops in (("straight", []), ("stopped", [3, 5])):
        settings = config(start, data, tmp_path / name, steps=6, checkpoint_every=2, reward=reward_model, **variant)
        for after in stops:
            with pytest.raises(KeyboardInterrupt):
                rl(settings, Watching(after))
        results.append(rl(settings))
    ends = [checkpoint.find(tmp_path / name, "last") for name in ("straight", "stopped")]
    for name in (checkpoint.MODEL, checkpoint.OPTIMIZER, checkpoint.ABOUT):
        assert (ends[0] / name).read_bytes() == (ends[1] / name).read_bytes(), name
    metrics = [
        [record.metrics for record in read_log(tmp_path / name / "log.jsonl")] for name in ("straight", "stopped")
    ]
    assert metrics[0] == metrics[1]
    assert results[0].report == results[1].report


def a_step(stage: Rl, rewards: Sequence[float] | None = None) -> tuple[Rollouts, torch.Tensor]:
    """The first step's answers and their rewards, or others in their place."""
    asked = [stage.template.prompt(one.messages) for one in stage.train[: stage.prompts]]
    sampling = Sampling(1.0, top_p=1.0)
    batch = rollouts(stage.model, stage.template, asked, stage.settings.samples, 0, 4, sampling)
    given = torch.tensor(rewards) if rewards is not None else torch.rand(len(batch.tokens))
    return batch, given


@pytest.mark.parametrize("variant", [{}, {"algorithm": "ppo"}], ids=["grpo", "ppo"])
def test_nothing_is_clipped_in_the_first_update(
    start: Path, data: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    """The policy is still the one that wrote the answers, so every ratio is 1, however the batch is cut."""
    stage = tuner(config(start, data, tmp_path, clip_low=1e-4, clip_high=1e-4, micro_batch_tokens=96, **variant))
    update = stage.step(0, 1e-3)
    assert update.metrics["clip_fraction"] == 0
    assert update.metrics["old_kl"] < 1e-9
    again = tuner(config(start, data, tmp_path, clip_low=1e-4, clip_high=1e-4, inner_epochs=2, **variant))
    assert again.step(0, 1e-3).metrics["clip_fraction"] > 0.1


def test_groups_of_one_reward_give_no_gradient(start: Path, data: Path, tmp_path: Path) -> None:
    stage = tuner(config(start, data, tmp_path))
    batch, rewards = a_step(stage, [1.0] * 32 + [0.0] * 32)
    reading = stage._read(stage.model, batch)
    stage.updates.backward(batch, stage.updates.goal(batch, rewards, reading, reading), torch.arange(64), {})
    assert all(weight.grad is None or not weight.grad.any() for weight in stage.trained_weights())
    rewards[0] = 0.0
    stage.updates.backward(batch, stage.updates.goal(batch, rewards, reading, reading), torch.arange(64), {})
    assert any(weight.grad is not None and weight.grad.any() for weight in stage.trained_weights())
    assert alike(rewards.view(8, 8)) == 7 / 8


@pytest.mark.parametrize("normalise", ["token", "sequence"])
def test_micro_batches_add_up_to_the_whole(start: Path, data: Path, tmp_path: Path, normalise: str) -> None:
    gradients, losses = [], []
    for tokens in (65536, 150):
        settings = {"normalise": normalise, "algorithm": "ppo", "micro_batch_tokens": tokens, "kl_coef": 0.1}
        stage = tuner(config(start, data, tmp_path, **settings))
        batch, _ = a_step(stage)
        reading, start_reading = stage._read(stage.model, batch), stage._read(stage.start, batch)
        goal = stage.updates.goal(batch, torch.linspace(0, 1, 64), reading, start_reading)
        losses.append(stage.updates.backward(batch, goal, torch.arange(64), {}))
        gradients.append([weight.grad for weight in stage.trained_weights()])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for whole, parts in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("variant", [{}, PPO], ids=["grpo", "ppo"])
def test_a_batch_without_one_finished_answer_is_harmless(
    base: Path, data: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    """An untrained model's one token is an end in one of 380 cases."""
    stage = tuner(config(base, data, tmp_path, max_new_tokens=1, prompts=4, samples=4, **variant))
    for step in range(2):
        update = stage.step(step, 1e-3)
        assert update.metrics["finished"] == 0
        assert update.metrics["reward"] == 0
        assert update.metrics["alike"] == 1
        assert all(math.isfinite(value) for value in update.metrics.values())
    assert all(weight.isfinite().all() for weight in stage.trained_weights())


def test_a_run_stops_where_the_kl_passes_its_limit(start: Path, data: Path, tmp_path: Path) -> None:
    watching = Watching()
    result = rl(config(start, data, tmp_path, steps=40, kl_limit=0.3, checkpoint_every=1), watching)
    kl = metric(tmp_path, "kl")
    assert len(kl) < 40
    assert kl[-1] > 0.3 >= max(kl[:-1])
    assert any("more than --kl-limit (0.3)" in note for note in watching.notes)
    assert result.step > 0
    assert result.metrics["held_out_kl"] <= 0.3


def test_a_checkpoint_beyond_the_limit_is_never_the_best(start: Path, data: Path, tmp_path: Path) -> None:
    stage = tuner(config(start, data, tmp_path, kl_limit=0.1))
    before = stage.evaluate()
    assert before is not None
    assert before.loss == -before.metrics["held_out_reward"]
    with torch.no_grad():
        stage.model.model.norm.weight.mul_(20)
    after = stage.evaluate()
    assert after is not None
    assert after.metrics["held_out_kl"] > 0.1
    assert after.loss > BEYOND / 2


def test_rewards_by_nothing_are_an_error(start: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing says which answers are good"):
        config(start, data, tmp_path, verifier=None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": "reinforce"}, "expected grpo or ppo"),
        ({"samples": 1}, "needs at least 2"),
        ({"normalise": "batch"}, "expected token or sequence"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be more than 0"),
        ({"minibatches": 65}, "more than the answers of a step"),
    ],
)
def test_wrong_settings_are_named(
    start: Path, data: Path, tmp_path: Path, wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config(start, data, tmp_path, **wrong)


def test_a_prompt_that_fills_the_context_is_left_out_and_told(start: Path, data: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.jsonl"
    long.write_text(data.read_text() + json.dumps({"prompt": "river " * 30, "answer": "7"}) + "\n")
    watching = Watching()
    rl(config(start, long, tmp_path / "out", steps=1), watching)
    assert any(note.startswith("1 prompts leave no room") for note in watching.notes)


def test_ppo_s_value_model_must_read_the_policy_s_tokens(
    start: Path, data: Path, vocabulary: bytes, tmp_path: Path
) -> None:
    other = RewardModel(dataclasses.replace(SHAPE, max_seq_len=48))
    wider = save_model(tmp_path / "wider", other, vocabulary)
    with pytest.raises(ValueError, match="its shape or vocabulary is not that of"):
        tuner(config(start, data, tmp_path / "out", reward=wider, algorithm="ppo"))
    tuner(config(start, data, tmp_path / "out", reward=wider))


def test_the_command_says_what_is_wrong(
    start: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--model",
        str(tmp_path / "none"),
        "--data",
        str(data),
        "--output",
        str(tmp_path),
        "--verifier",
        "exact",
    ]
    assert main(arguments) == 1
    assert "error:" in capsys.readouterr().err


def test_the_command_trains(start: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", str(start), "--data", str(data), "--output", str(tmp_path / "out"), "--verifier", "exact"]
    arguments += ["--steps", "2", "--prompts", "4", "--samples", "4", "--max-new-tokens", "4"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "against the start model" in said
    assert "best checkpoint" in said
