import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer import checkpoint, rl
from trainer.checkpoint import About, checkpoint_id
from trainer.conversation import Message
from trainer.log import Record, read_log
from trainer.model import Llama, ModelConfig, RewardModel
from trainer.progress import Silent
from trainer.records import Prompt, read_prompts, split
from trainer.records.kinds import prompt
from trainer.reward import Scorer
from trainer.rl import BEYOND, Rl, RlConfig, alike, divergence
from trainer.rl_report import duel, mean
from trainer.rl_reward import MODEL, UNFINISHED, VERIFIER, Judge
from trainer.rollout import Reading, Rollouts
from trainer.sft import SftConfig, sft
from trainer.tasks import write

SHAPE = ModelConfig(380, dim=32, layers=2, heads=2, kv_heads=1, hidden=64, max_seq_len=24)


def save(folder: Path, model: Llama | RewardModel, vocabulary: bytes, head: str = "lm") -> Path:
    folder.mkdir(parents=True)
    (folder / "vocabulary").write_bytes(vocabulary)
    digest, weights = hashlib.sha256(vocabulary).hexdigest(), model.state_dict()
    bos = Tokenizer(vocabulary).bos_id
    id = checkpoint_id(weights, model.config, digest)
    checkpoint.save(
        folder, About(id, 0, model.config, digest, bos, "0" * 64, head=head), weights, {}, folder / "vocabulary"
    )
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return train_vocabulary(["name a digit: the river ran to the old house 0123456789"] * 20, 380)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, vocabulary: bytes) -> Path:
    return save(tmp_path_factory.mktemp("start") / "base", Llama(SHAPE, seed=1), vocabulary)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Path:
    """A model that answers with one digit, any."""
    folder = tmp_path_factory.mktemp("start")
    rows = [{"prompt": f"digit {number}", "completion": str(digit)} for number in range(20) for digit in range(10)]
    write(folder / "digits.jsonl", rows)
    sft(SftConfig(model=base, data=(folder / "digits.jsonl",), output=folder / "sft", steps=60, lr=1e-2, held_out=0.0))
    return folder / "sft"


@pytest.fixture(scope="module")
def reward_model(tmp_path_factory: pytest.TempPathFactory, vocabulary: bytes) -> Path:
    return save(tmp_path_factory.mktemp("scores") / "reward", RewardModel(SHAPE, seed=2), vocabulary, "score")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of which the right answer is always 7."""
    path = tmp_path_factory.mktemp("prompts") / "sevens.jsonl"
    write(path, [{"prompt": f"digit {number}", "answer": "7"} for number in range(40)])
    return path


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


class Watching(Silent):
    def __init__(self, after: int = 0) -> None:
        self.after, self.notes, self.facts = after, list[str](), dict[str, str]()

    def start(self, facts: Sequence[tuple[str, str]], done: int, steps: int) -> None:
        self.facts = dict(facts)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, record: Record) -> None:
        if record.step == self.after:
            raise KeyboardInterrupt


def metric(output: Path, name: str) -> list[float]:
    return [record.metrics[name] for record in read_log(output / "log.jsonl")]


PPO = {"algorithm": "ppo", "inner_epochs": 2, "minibatches": 2, "kl_coef": 0.01}


@pytest.mark.parametrize("variant", [{}, PPO], ids=["grpo", "ppo"])
def test_a_rewarded_answer_becomes_the_usual_one(
    start: Path, data: Path, tmp_path: Path, variant: dict[str, object]
) -> None:
    result = rl.rl(config(start, data, tmp_path, steps=25, **variant))
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


VARIANTS = [
    {},
    {"normalise": "sequence", "unscaled": True, "kl_coef": 0.1, "inner_epochs": 2, "minibatches": 3},
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
                rl.rl(settings, Watching(after))
        results.append(rl.rl(settings))
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
    sampling = rl.Sampling(1.0, top_p=1.0)
    batch = rl.rollouts(stage.model, stage.template, asked, stage.settings.samples, 0, 4, sampling)
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
    stage._backward(batch, stage.goal(batch, rewards, reading, reading), torch.arange(64), {})
    assert all(weight.grad is None or not weight.grad.any() for weight in stage.trained_weights())
    rewards[0] = 0.0
    stage._backward(batch, stage.goal(batch, rewards, reading, reading), torch.arange(64), {})
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
        goal = stage.goal(batch, torch.linspace(0, 1, 64), reading, start_reading)
        losses.append(stage._backward(batch, goal, torch.arange(64), {}))
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
    result = rl.rl(config(start, data, tmp_path, steps=40, kl_limit=0.3, checkpoint_every=1), watching)
    kl = metric(tmp_path, "kl")
    assert len(kl) < 40
    assert kl[-1] > 0.3 >= max(kl[:-1])
    assert any("more than kl_limit (0.3)" in note for note in watching.notes)
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


def test_length_that_doubles_while_the_reward_rises_is_told_once(start: Path, data: Path, tmp_path: Path) -> None:
    stage, watching = tuner(config(start, data, tmp_path)), Watching()
    stage.observer = watching
    stage._warn(0, {"reward": 0.2, "length": 4.0, "repetition": 0.0})
    stage._warn(1, {"reward": 0.2, "length": 9.0, "repetition": 0.5})
    stage._warn(2, {"reward": 0.3, "length": 7.9, "repetition": 0.09})
    assert watching.notes == []
    stage._warn(3, {"reward": 0.3, "length": 8.0, "repetition": 0.1})
    stage._warn(4, {"reward": 0.4, "length": 9.0, "repetition": 0.2})
    assert [note.split(" is ")[0] for note in watching.notes] == [
        "step 4: the answers' length",
        "step 4: the answers' repetition",
    ]


def test_divergence_by_hand() -> None:
    now, then = torch.tensor([[-1.0, -2.0, 0.0], [-3.0, 0.0, 0.0]]), torch.tensor([[-1.5, -1.0, 0.0], [-3.0, 0.0, 0.0]])
    mask = torch.tensor([[False, True, True, False], [False, True, False, False]])
    batch = Rollouts(torch.zeros(2, 4, dtype=torch.int64), mask, torch.tensor([3, 2]), mask[:, 1], ())
    found = divergence(Reading(now, now), Reading(then, then), batch)
    k3 = (torch.tensor([-0.5, 1.0, 0.0]).expm1() - torch.tensor([-0.5, 1.0, 0.0])).sum().item()
    assert found == pytest.approx({"kl": -0.25, "kl_token": -0.5 / 3, "k3": k3 / 2, "k3_token": k3 / 3})


def asks(answer: str | None = "4") -> Prompt:
    return prompt([Message("user", "2 + 2?")], answer)


def says(*texts: str) -> list[Message]:
    return [Message("assistant", text) for text in texts]


def test_an_unfinished_answer_is_never_right() -> None:
    found = Judge("number", 2.0).scores([asks()] * 3, says("4", "4", "5"), [True, False, True])
    assert found.total.tolist() == [2.0, 0.0, 0.0]


def test_a_reward_model_counts_from_the_start_model_s_mean(reward_model: Path) -> None:
    scorer = Scorer(reward_model, "cpu")
    judge = Judge("number", 1.0, scorer, 0.5)
    texts = ["4", "the river", "old house", "0"]
    judge.calibrate([asks()] * 4, says(*texts))
    found = judge.scores([asks()] * 5, says(*texts, "4"), [True] * 4 + [False])
    assert found.parts[MODEL][:4].mean().item() == pytest.approx(0, abs=1e-5)
    assert found.parts[MODEL][:4].std().item() == pytest.approx(1, abs=1e-5)
    assert found.parts[MODEL][4] == UNFINISHED
    assert found.parts[VERIFIER].tolist() == [1, 0, 0, 0, 0]
    torch.testing.assert_close(found.total, found.parts[VERIFIER] + 0.5 * found.parts[MODEL])


def test_no_answer_gains_by_never_ending(reward_model: Path) -> None:
    judge = Judge(None, scorer=Scorer(reward_model, "cpu"))
    judge.mean, judge.deviation = 1e6, 1.0
    assert judge.scores([asks()] * 2, says("4", "4"), [True, False]).total.tolist() == [UNFINISHED] * 2


def test_rewards_by_nothing_are_an_error(start: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing says which answers are good"):
        config(start, data, tmp_path, verifier=None)


def test_a_verifier_needs_right_answers() -> None:
    with pytest.raises(ValueError, match=r'the prompt "2 \+ 2\?" has no right answer, which the verifier number needs'):
        Judge("number").check([asks(None)])
    with pytest.raises(ValueError, match=r'the prompt "2 \+ 2\?": expected is "four"'):
        Judge("number").check([asks("four")])
    Judge("json").check([asks(None)])


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
    rl.rl(config(start, long, tmp_path / "out", steps=1), watching)
    assert any(note.startswith("1 prompts leave no room") for note in watching.notes)


def test_ppo_s_value_model_must_read_the_policy_s_tokens(
    start: Path, data: Path, vocabulary: bytes, tmp_path: Path
) -> None:
    other = RewardModel(dataclasses.replace(SHAPE, max_seq_len=48))
    wider = save(tmp_path / "wider", other, vocabulary, "score")
    with pytest.raises(ValueError, match="its shape or vocabulary is not that of"):
        tuner(config(start, data, tmp_path / "out", reward=wider, algorithm="ppo"))
    tuner(config(start, data, tmp_path / "out", reward=wider))


def test_a_duel_counts_ties_apart() -> None:
    found = duel([1, 1, 0, 1, 0], [0, 1, 0, 0, 1])
    assert (found.wins, found.ties, found.losses) == (2, 2, 1)
    assert found.share.value == pytest.approx(2 / 3)
    assert found.p == 1.0
    assert duel([1] * 10, [0] * 10).p == pytest.approx(2 / 2**10)


def test_a_mean_s_interval() -> None:
    found = mean([0.0, 1.0] * 50)
    assert found.value == 0.5
    assert found.high - found.value == pytest.approx(1.96 * 0.5025 / 10, rel=1e-3)
    assert mean([3.0]).low == 3.0


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
    assert rl.main(arguments) == 1
    assert "error:" in capsys.readouterr().err


def test_the_command_trains(start: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", str(start), "--data", str(data), "--output", str(tmp_path / "out"), "--verifier", "exact"]
    arguments += ["--steps", "2", "--prompts", "4", "--samples", "4", "--max-new-tokens", "4"]
    assert rl.main(arguments) == 0
    said = capsys.readouterr().out
    assert "against the start model" in said
    assert "best checkpoint" in said
