import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.trainer.align.conftest import DISLIKED, LIKED, Watching, said, texts, write
from trainer import checkpoint
from trainer.align.preference.command import dpo, main
from trainer.align.preference.config import DpoConfig
from trainer.align.preference.dpo import Dpo
from trainer.align.preference.kto import Kto
from trainer.log import read_log
from trainer.model import Llama
from trainer.progress import Silent
from trainer.records import Ranking, Unpaired
from trainer.records.kinds import ranking, unpaired
from trainer.talk.conversation import Message


def pairs(count: int) -> list[dict[str, object]]:
    """The answer that begins with the good word wins."""
    asked, answered = texts(count, 1), texts(count, 2)
    return [
        {"prompt": prompt, "chosen": f"{LIKED} {text}", "rejected": f"{DISLIKED} {text}"}
        for prompt, text in zip(asked, answered, strict=True)
    ]


def single(count: int) -> list[dict[str, object]]:
    """A third of the answers are good, and begin with the good word."""
    asked, answered = texts(count, 1), texts(count, 2)
    return [
        {"prompt": prompt, "completion": f"{DISLIKED if number % 3 else LIKED} {text}", "label": number % 3 == 0}
        for number, (prompt, text) in enumerate(zip(asked, answered, strict=True))
    ]


@pytest.fixture(scope="session")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "pairs.jsonl", pairs(60))


@pytest.fixture(scope="session")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "single.jsonl", single(60))


def config(base: Path, data: Path, output: Path, **changes: object) -> DpoConfig:
    settings: dict[str, object] = {"batch": 8, "held_out": 0.3, "device": "cpu", "steps": 12, "lr": 2e-3}
    return DpoConfig(model=base, data=(data,), output=output, **{**settings, **changes})  # type: ignore[arg-type]


def three() -> Ranking:
    return ranking([Message("user", "Which?")], [said("river music"), said("garden"), said("island")], (1, 2, 3))


def learner(base: Path, records: Sequence[Ranking] = (three(),), **changes: object) -> Dpo:
    return Dpo(config(base, base, base, **changes), records, [], "", Silent())


def by_hand(model: Llama, tokens: Sequence[int], trained: Sequence[bool]) -> float:
    """Sum of ln p of the trained tokens, one conversation by itself."""
    logprobs = model(torch.tensor([tokens]))[0].log_softmax(-1)
    return sum(logprobs[place, token].item() for place, token in enumerate(tokens[1:]) if trained[place + 1])


# Log-probabilities


@pytest.mark.parametrize("length_normalised", [False, True])
def test_an_answers_likelihood_is_that_of_its_tokens_and_its_end(base: Path, length_normalised: bool) -> None:
    found = learner(base, length_normalised=length_normalised)
    likely = found.likelihood(found.train)
    for one, answer, count in zip(found.train[0].encoded, likely.answers, likely.counts, strict=True):
        expected = by_hand(found.model, one.tokens, one.trained)
        assert answer.item() == pytest.approx(expected / (int(count) if length_normalised else 1), rel=1e-4)
        assert int(count) == sum(one.trained)
    assert len(likely.tokens) == likely.counts.sum()


def test_the_reference_is_the_model_at_the_start_and_stays_so(base: Path) -> None:
    found = learner(base)
    start = found.held(found.train_reference)
    torch.testing.assert_close(start.answers, found.likelihood(found.train).answers, rtol=1e-4, atol=1e-4)
    for step in range(3):
        found.step(step, 1e-3)
    torch.testing.assert_close(found.held(found.train_reference).answers, start.answers, rtol=0, atol=0)
    assert (found.likelihood(found.train).answers - start.answers).abs().max() > 0.1


def test_the_first_step_loses_ln_2_and_has_not_drifted(base: Path) -> None:
    update = learner(base).step(0, 1e-3)
    assert update.loss == pytest.approx(math.log(2), abs=1e-5)
    assert update.metrics["margin"] == pytest.approx(0, abs=1e-5)
    assert update.metrics["drift"] == pytest.approx(0, abs=1e-9)
    assert update.metrics["chosen_logprob"] < 0


def test_micro_batches_add_up_to_the_batch(base: Path) -> None:
    records = [ranked(row) for row in pairs(10)]

    def second_step(micro: int) -> tuple[float, float]:
        found = learner(base, records, micro_batch_tokens=micro, sft_coefficient=0.5, batch=10)
        found.step(0, 1e-3)
        update = found.step(1, 1e-3)
        return update.loss, update.grad_norm

    assert second_step(80) == pytest.approx(second_step(100000), rel=1e-3)


def ranked(row: dict[str, object]) -> Ranking:
    return ranking([Message("user", str(row["prompt"]))], [said(str(row[n])) for n in ("chosen", "rejected")], (1, 2))


# DPO


def test_dpo_raises_the_margin_on_what_is_held_out(base: Path, comparisons: Path, tmp_path: Path) -> None:
    result = dpo(config(base, comparisons, tmp_path))
    about = checkpoint.read_about(result.checkpoint)
    assert (about.stage, about.head, about.parent) == ("dpo", "lm", checkpoint.read_about(base).id)
    assert result.metrics["val_margin"] > 0.2
    assert result.metrics["val_accuracy"] == 1
    assert result.metrics["val_drift"] > 0
    assert (result.val_loss or 1) < math.log(2) - 0.1


@pytest.mark.parametrize("option", [{"label_smoothing": 0.2}, {"length_normalised": True, "beta": 2.0}])
def test_so_do_its_variants(base: Path, comparisons: Path, tmp_path: Path, option: dict[str, object]) -> None:
    assert dpo(config(base, comparisons, tmp_path, **option)).metrics["val_accuracy"] == 1


def test_imitation_holds_the_chosen_answers_likelihood_up(base: Path, comparisons: Path, tmp_path: Path) -> None:
    plain, imitating = (
        dpo(config(base, comparisons, tmp_path / str(share), sft_coefficient=share)) for share in (0.0, 1.0)
    )
    assert imitating.metrics["val_chosen_logprob"] > plain.metrics["val_chosen_logprob"]


def test_a_larger_beta_holds_the_model_nearer_to_the_reference(base: Path, comparisons: Path, tmp_path: Path) -> None:
    near, far = (dpo(config(base, comparisons, tmp_path / str(beta), beta=beta, steps=25)) for beta in (2.0, 0.05))
    last = [read_log(tmp_path / name / "log.jsonl")[-1].metrics["drift"] for name in ("2.0", "0.05")]
    assert last[0] < last[1]
    assert near.metrics["val_accuracy"] == far.metrics["val_accuracy"] == 1


@pytest.mark.parametrize("stopped_after", [3, pytest.param(6, marks=pytest.mark.slow), 9])
@pytest.mark.parametrize("kind", ["comparisons", "verdicts"])
def test_a_stopped_run_ends_as_one_that_was_not(
    base: Path, tmp_path: Path, request: pytest.FixtureRequest, kind: str, stopped_after: int
) -> None:
    data = request.getfixturevalue(kind)
    straight, stopped = (config(base, data, tmp_path / name, checkpoint_every=6) for name in ("straight", "stopped"))
    dpo(straight)
    with pytest.raises(KeyboardInterrupt):
        dpo(stopped, Watching(stopped_after))
    dpo(stopped)
    there, here = (checkpoint.find(settings.output, "last") for settings in (straight, stopped))
    for name in ("model.safetensors", "optimizer.safetensors", "checkpoint.json"):
        assert (here / name).read_bytes() == (there / name).read_bytes(), name


def test_drift_past_its_limit_stops_the_run_at_the_last_good_checkpoint(
    base: Path, comparisons: Path, tmp_path: Path
) -> None:
    observer = Watching()
    result = dpo(config(base, comparisons, tmp_path, kl_limit=0.02, lr=3e-4, checkpoint_every=1), observer)
    drifts = [record.metrics["drift"] for record in read_log(tmp_path / "log.jsonl")]
    assert len(drifts) < 12
    assert drifts[-1] > 0.02
    assert max(drifts[:-1]) <= 0.02
    assert result.step < len(drifts)
    assert "more than --kl-limit (0.02)" in observer.notes[-1]


def test_drift_is_half_the_mean_square_of_the_log_ratio(base: Path) -> None:
    found = learner(base)
    found.step(0, 1e-3)
    policy, held = found.likelihood(found.train), found.held(found.train_reference)
    expected = ((policy.tokens - held.tokens) ** 2).mean().item() / 2
    assert found.step(1, 0.0).metrics["drift"] == pytest.approx(expected, rel=1e-3)


# KTO


def test_kto_moves_good_answers_up_and_bad_ones_down(base: Path, verdicts: Path, tmp_path: Path) -> None:
    observer = Watching()
    result = dpo(config(base, verdicts, tmp_path, steps=25), observer)
    assert checkpoint.read_about(result.checkpoint).stage == "kto"
    assert result.metrics["val_good_reward"] > 0 > result.metrics["val_bad_reward"]
    assert "good and" in observer.facts["verdicts"]


def judged(good: int, bad: int) -> list[Unpaired]:
    answers = [(text, True) for text in texts(good, 3)] + [(text, False) for text in texts(bad, 4)]
    return [
        unpaired([Message("user", f"{prompt}?")], said(text), good)
        for prompt, (text, good) in zip(texts(good + bad, 5), answers, strict=True)
    ]


def test_the_rarer_kind_weighs_more_so_that_both_weigh_the_same(base: Path) -> None:
    tuner = Kto(config(base, base, base), judged(4, 12), [], "", Silent())
    assert (tuner.good_weight, tuner.bad_weight) == (3, 1)
    update = tuner.step(0, 1e-3)
    assert update.metrics["drift"] == pytest.approx(0, abs=1e-9)


def test_every_prompt_is_also_read_with_the_answer_to_another(base: Path) -> None:
    records = judged(3, 5)
    data = Kto(config(base, base, base), records, [], "", Silent()).train
    matched = [one.encoded[0].tokens for one in data.answers]
    other = [one.encoded[0].tokens for one in data.mismatched]
    assert all(mine != theirs for mine, theirs in zip(matched, other, strict=True))
    answers = sorted(tuple(one.encoded[0].tokens[-4:]) for one in data.answers)
    assert sorted(tuple(one.encoded[0].tokens[-4:]) for one in data.mismatched) == answers


def test_two_bad_answers_to_one_prompt_are_two_lessons(base: Path, tmp_path: Path) -> None:
    both: list[dict[str, object]] = [
        {"prompt": "Which?", "completion": text, "label": False} for text in ("river", "garden")
    ]
    data = write(tmp_path / "both.jsonl", [*single(30), *both])
    observer = Watching()
    dpo(config(base, data, tmp_path / "out", steps=1, held_out=0.0), observer)
    assert observer.facts["verdicts"].startswith("10 good and 22 bad")


def test_kto_needs_good_and_bad_answers(base: Path) -> None:
    with pytest.raises(ValueError, match="0 good and 4 bad answers to learn from; KTO needs both"):
        Kto(config(base, base, base), judged(0, 4), [], "", Silent())


# The command


def test_the_command_says_what_it_did_and_what_is_wrong(
    base: Path, comparisons: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(base), "--output", str(tmp_path / "out"), "--steps", "2", "--device", "cpu", "--data"]
    assert main([*options, str(comparisons)]) == 0
    assert "best checkpoint" in capsys.readouterr().out
    mixed = write(tmp_path / "mixed.jsonl", [*pairs(2), *single(1)])
    assert main([*options, str(mixed)]) == 1
    assert f"{mixed}:3: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"beta": 0.0}, "--beta is 0"),
        ({"label_smoothing": 0.5}, "--label-smoothing is 0.5"),
        ({"kl_limit": 0.0}, "--kl-l"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        config(tmp_path, tmp_path, tmp_path, **wrong)
