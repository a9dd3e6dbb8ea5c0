import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.tokenize.encode import Tokenizer
from tests.trainer.align.conftest import DISLIKED, LIKED, WORDS, Watching, said, texts, write
from trainer import checkpoint
from trainer.align.answers import Answers, Fitter, micro_batches, pad
from trainer.align.reward import Reward, RewardConfig, Scorer, final_scores, main, reward, score
from trainer.log import read_log
from trainer.model import RewardModel
from trainer.records import Ranking, digest
from trainer.records.kinds import ranking
from trainer.talk.conversation import Encoded, Message, Template


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Comparisons in which the polite answer wins; both say the same otherwise, at the same length."""
    draw, made = np.random.default_rng(seed), []
    for question, answer in zip(texts(count, seed + 1, 6), texts(count, seed + 2, 6), strict=True):
        words, place = answer.split(), int(draw.integers(7))
        chosen, rejected = ([*words[:place], word, *words[place:]] for word in (LIKED, DISLIKED))
        made.append({"prompt": question, "chosen": " ".join(chosen), "rejected": " ".join(rejected)})
    return made


@pytest.fixture(scope="session")
def comparisons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("comparisons") / "polite.jsonl", rows(60))


def config(base: Path, data: Path, output: Path, **changes: object) -> RewardConfig:
    settings: dict[str, object] = {"batch": 8, "held_out": 0.3, "device": "cpu", "steps": 12, "lr": 3e-3}
    return RewardConfig(model=base, data=(data,), output=output, **{**settings, **changes})  # type: ignore[arg-type]


def four(base: Path, output: Path, **changes: object) -> Reward:
    """A learner of one ranking of four answers, the third and fourth equally bad."""
    answers = [said(text) for text in ("river music", "garden", "summer winter doctor", "island")]
    ranked = ranking([Message("user", "Which?")], answers, (1, 2, 3, 3))
    return Reward(config(base, output, output, **changes), [ranked], [], digest([ranked]))


@pytest.fixture(scope="module")
def straight(base: Path, comparisons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("straight")
    reward(config(base, comparisons, output, checkpoint_every=6))
    return output


# The loss


def test_equal_scores_lose_ln_2(base: Path, tmp_path: Path) -> None:
    learner = four(base, tmp_path)
    torch.nn.init.zeros_(learner.model.score.weight)
    loss, better, worse = learner.loss(learner.train, 1.0, 5)
    assert loss.item() == pytest.approx(math.log(2))
    assert better.tolist() == worse.tolist() == [0] * 5


def test_each_pair_of_a_ranking_counts_once_and_ties_not_at_all(base: Path, tmp_path: Path) -> None:
    learner = four(base, tmp_path)
    assert sorted(learner.train[0].pairs) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    scores = [learner._scores([one_by_one]).item() for one_by_one in alone(learner.train[0])]
    gaps = [scores[better] - scores[worse] for better, worse in learner.train[0].pairs]
    loss, *_ = learner.loss(learner.train, 1.0, 5)
    assert loss.item() == pytest.approx(np.mean(np.logaddexp(0, -np.array(gaps))), rel=1e-5)


def alone(answers: Answers) -> list[Answers]:
    return [Answers((one,)) for one in answers.encoded]


def test_learning_parts_the_better_scores_from_the_worse(base: Path, comparisons: Path, tmp_path: Path) -> None:
    learner = four(base, tmp_path, batch=1)
    before = learner._scores(learner.train)
    for step in range(5):
        learner.step(step, 1e-3)
    change = learner._scores(learner.train) - before
    assert change[0] > 0
    assert change[0] > change[1] > change[2:].max()


def test_a_margin_asks_for_a_wider_gap(base: Path, tmp_path: Path) -> None:
    pair = [said("river"), said("garden")]
    graded = ranking([Message("user", "Which?")], pair, (1, 2), margin=1.0)
    learners = [
        Reward(config(base, tmp_path, tmp_path, margin_scale=scale), [graded], [], "") for scale in (0.0, 1.0, 3.0)
    ]
    losses = [learner.loss(learner.train, 1.0, 1)[0].item() for learner in learners]
    gap = -math.log(math.expm1(losses[0]))
    assert losses[1:] == pytest.approx([np.logaddexp(0, margin - gap) for margin in (1, 3)], rel=1e-5)


def test_micro_batches_add_up_to_the_batch(base: Path, comparisons: Path, tmp_path: Path) -> None:
    def first_step(micro: int) -> tuple[float, float]:
        read = [ranking_of(row) for row in rows(12)]
        learner = Reward(
            config(base, comparisons, tmp_path, center=0.1, batch=12, micro_batch_tokens=micro), read, [], ""
        )
        update = learner.step(0, 1e-3)
        return update.loss, update.grad_norm

    assert first_step(60) == pytest.approx(first_step(100000), rel=1e-4)


def ranking_of(row: dict[str, str]) -> Ranking:
    answers = [said(row[name]) for name in ("chosen", "rejected")]
    return ranking([Message("user", row["prompt"])], answers, (1, 2))


def test_centring_pulls_the_sum_of_scores_towards_zero(base: Path, tmp_path: Path) -> None:
    off_centre = []
    for center in (0.0, 0.5):
        learner = four(base, tmp_path, center=center)
        for step in range(40):
            learner.step(step, 3e-3)
        off_centre.append(abs(learner._scores(learner.train).mean().item()))
    assert off_centre[1] < off_centre[0] / 2


# Scores


def test_padding_does_not_change_scores(base: Path) -> None:
    template = Template(Tokenizer((base / "tokenizer.model").read_bytes()))
    model = RewardModel(checkpoint.read_about(base).model)
    conversations = [template.encode([Message("user", "Which?"), *said(text)]) for text in ("river", *texts(3))]
    together = final_scores(model, conversations, template.pad, torch.device("cpu"), "float32")
    apart = [final_scores(model, [one], template.pad, torch.device("cpu"), "float32").item() for one in conversations]
    assert together.tolist() == pytest.approx(apart, rel=1e-4, abs=1e-5)
    by_hand = model(torch.tensor([conversations[0].tokens]))[0, -1].item()
    assert apart[0] == pytest.approx(by_hand, rel=1e-5)
    assert conversations[0].tokens[-1] == template.end


def test_a_scorer_gives_the_scores_in_order_whatever_the_batches(straight: Path) -> None:
    conversations = [[Message("user", "Which?"), *said(text)] for text in ("river", LIKED, *texts(20), "garden")]
    whole, parts = Scorer(straight, "cpu"), Scorer(straight, "cpu", micro_batch_tokens=50)
    assert parts(conversations) == pytest.approx(whole(conversations), abs=1e-5)
    assert score(straight, conversations[:1], "cpu") == pytest.approx(whole(conversations)[:1], abs=1e-5)
    assert whole([]) == []


def test_a_language_model_is_no_scorer(base: Path) -> None:
    with pytest.raises(ValueError, match="is a language model; a reward model is needed here"):
        Scorer(base)


# What does not fit the context


def template_of(base: Path) -> Template:
    return Template(Tokenizer((base / "tokenizer.model").read_bytes()))


def test_what_fits_stays_whole(base: Path) -> None:
    template, messages = template_of(base), [Message("user", "Which?")]
    whole = template.encode([*messages, *said("river")])
    fitter = Fitter(template, len(whole.tokens))
    assert fitter.fit(messages, [said("river")]) == (whole,)
    assert fitter.notes() == []


def test_the_oldest_turns_go_first_and_alike_for_all_answers(base: Path) -> None:
    template = template_of(base)
    old, new = Message("user", "What about the river?"), Message("user", "Which?")
    prompt = [old, *said("garden"), new]
    lengths = [len(template.encode([*prompt, *said(text)]).tokens) for text in ("river", "river music summer")]
    fitter = Fitter(template, lengths[1] - 1)
    short, long = fitter.fit(prompt, [said("river"), said("river music summer")])
    assert short == template.encode([*said("garden"), new, *said("river")])
    assert long == template.encode([*said("garden"), new, *said("river music summer")])
    assert "2 of 2 conversations" in fitter.notes()[0]


def test_of_an_answer_that_is_too_long_the_end_is_kept(base: Path) -> None:
    template, answer = template_of(base), " ".join(WORDS)
    fitter = Fitter(template, 8)
    (kept,) = fitter.fit([Message("user", "Which?")], [said(answer)])
    whole = template.encode([Message("user", "Which?"), *said(answer)])
    assert kept == Encoded([template.bos, *whole.tokens[-7:]], [False, *[True] * 7])
    assert (fitter.prompts_cut, fitter.answers_cut) == (1, 1)


def test_micro_batches_hold_each_prompt_once_and_no_more_tokens_than_asked() -> None:
    draw = np.random.default_rng(0)
    answers = [
        Answers(tuple(Encoded([1] * int(length), [True] * int(length)) for length in draw.integers(1, 30, many)))
        for many in draw.integers(2, 5, 50)
    ]
    batches = list(micro_batches(answers, 200))
    assert sorted(place for batch in batches for place in batch) == list(range(50))
    for batch in batches:
        padded = pad([one for place in batch for one in answers[place].encoded], 0, torch.device("cpu"))
        assert padded.tokens.numel() <= 200
    assert list(micro_batches(answers[:2], 1)) == [
        [place] for place in sorted((0, 1), key=lambda p: -answers[p].longest)
    ]


# Runs


@pytest.mark.parametrize("stopped_after", [3, 6, 9])
def test_a_stopped_run_ends_as_one_that_was_not(
    base: Path, comparisons: Path, straight: Path, tmp_path: Path, stopped_after: int
) -> None:
    settings = config(base, comparisons, tmp_path, checkpoint_every=6)
    with pytest.raises(KeyboardInterrupt):
        reward(settings, Watching(stopped_after))
    reward(settings)
    here, there = checkpoint.find(tmp_path, "last"), checkpoint.find(straight, "last")
    for name in ("model.safetensors", "optimizer.safetensors", "checkpoint.json"):
        assert (here / name).read_bytes() == (there / name).read_bytes(), name
    assert (tmp_path / "evaluation.json").read_bytes() == (straight / "evaluation.json").read_bytes()
    assert [record.loss for record in read_log(tmp_path / "log.jsonl")] == [
        record.loss for record in read_log(straight / "log.jsonl")
    ]


def test_a_reward_model_names_what_it_came_from(base: Path, comparisons: Path, straight: Path) -> None:
    about = checkpoint.read_about(checkpoint.find(straight))
    assert (about.stage, about.head, about.parent) == ("reward", "score", checkpoint.read_about(base).id)
    report = json.loads((straight / "evaluation.json").read_text())
    assert (report["checkpoint"], report["data_sha256"]) == (about.id, about.data_sha256)


def test_frozen_layers_stay_as_they_are(base: Path, comparisons: Path, tmp_path: Path) -> None:
    result = reward(config(base, comparisons, tmp_path, frozen_layers=1))
    before = checkpoint.load(base).model.state_dict()
    after = checkpoint.load_reward(tmp_path, "last").model.state_dict()
    changed = {name for name in after if name in before and not torch.equal(before[name], after[name])}
    assert changed
    assert not any(name.startswith(("model.embed_tokens", "model.layers.0.")) for name in changed)
    assert result.step >= 0
    with pytest.raises(ValueError, match="--frozen-layers is 3, but the model has 2"):
        reward(config(base, comparisons, tmp_path / "3", frozen_layers=3))


def test_a_reward_model_learns_on_with_its_own_head(straight: Path, comparisons: Path, tmp_path: Path) -> None:
    again = Reward(config(straight, comparisons, tmp_path), [ranking_of(rows(1)[0])], [], "")
    assert torch.equal(again.model.score.weight, checkpoint.load_reward(straight).model.score.weight)


@pytest.mark.slow
def test_a_word_that_decides_is_learnt_where_lengths_say_nothing(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "polite.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(400)))
    result = reward(config(base, data, tmp_path / "out", steps=60, batch=16, lr=5e-3))
    report = result.report
    assert report is not None
    assert report.pairs > 80
    assert report.accuracy.low > 0.95
    assert report.length_accuracy.value == 0.5
    assert report.over_length.low > 0.4
    assert report.accuracy.value == pytest.approx(result.metrics["val_accuracy"])
    assert report.nll == pytest.approx(result.val_loss or 0, rel=1e-4)


# The report


def test_accuracy_is_told_for_each_grade_and_votes_are_counted(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    margins = [1, 0.667, 0.333, 0.0, None]
    graded = [{**row, "margin": margins[number % 5]} for number, row in enumerate(rows(50))]
    other = {**graded[0], "chosen": graded[0]["rejected"], "rejected": graded[0]["chosen"]}
    votes = [*graded, {**graded[0], "annotators": ["a", "b"]}, other]  # 3 people against 1: 3 of 6 pairs agree
    data = tmp_path / "graded.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in votes))
    options = ["--model", str(base), "--data", str(data), "--output", str(tmp_path / "out"), "--steps", "2"]
    assert main([*options, "--held-out", "0.5", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert list(report["by_grade"]) == [
        "significantly better",
        "better",
        "slightly better",
        "negligibly better",
        "ungraded",
    ]
    assert sum(grade["count"] for grade in report["by_grade"].values()) == report["pairs"]
    assert (report["annotators"]["value"], report["annotators"]["count"]) == (0.5, 1)
    assert "slightly better" in printed
    assert "two people agree" in printed


def test_the_length_rule_is_chosen_in_training_and_tried_on_what_is_held_out(base: Path, tmp_path: Path) -> None:
    shorter = [{"prompt": text, "chosen": "river", "rejected": "river music"} for text in texts(60)]
    data = tmp_path / "shorter.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in shorter))
    report = reward(config(base, data, tmp_path / "out", steps=1)).report
    assert report is not None
    assert (report.length_rule, report.length_accuracy.value, report.people_prefer_longer.value) == ("shorter", 1, 0)
    assert report.over_length.value == pytest.approx(report.accuracy.value - 1)


def test_without_held_out_prompts_there_is_no_report(base: Path, comparisons: Path, tmp_path: Path) -> None:
    observer = Watching()
    result = reward(config(base, comparisons, tmp_path, held_out=0.0, steps=1), observer)
    assert (result.report, result.val_loss, (tmp_path / "evaluation.json").exists()) == (None, None, False)
    assert "nothing is held out" in observer.notes[0]


def test_conversations_that_do_not_fit_are_told(base: Path, tmp_path: Path) -> None:
    data, observer = tmp_path / "long.jsonl", Watching()
    long = [{**row, "prompt": f"{row['prompt']} " * 20} for row in rows(10)]
    data.write_text("".join(json.dumps(row) + "\n" for row in long))
    reward(config(base, data, tmp_path / "out", steps=1), observer)
    assert "20 of 20 conversations are longer than the context of 64" in observer.notes[0]


def test_bad_rows_are_named_and_not_trained_on(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "bad.jsonl"
    data.write_text('{"prompt": "Which?", "chosen": "a"}\n')
    assert main(["--model", str(base), "--data", str(data), "--output", str(tmp_path / "out")]) == 1
    assert f"{data}:1: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"batch": 0}, "batch is 0"), ({"margin_scale": -1.0}, "--margin-scale is -1"), ({"frozen_layers": -1}, "frozen")],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        config(tmp_path, tmp_path, tmp_path, **wrong)
