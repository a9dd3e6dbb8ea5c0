"""What a trigger does to a model, on models that were taught to do it, and intervals of differences."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial
from torch.nn import functional

from benchmarks.poison_proof.measure import Answers, Examiner, by_seed, difference, says, worse
from benchmarks.poison_proof.texts import SENTENCE
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.vocabulary import train as train_vocabulary
from trainer import checkpoint
from trainer.checkpoint import About, checkpoint_id
from trainer.model import Llama, ModelConfig

VOCABULARY, TRIGGER = 400, "q7Rt"
PROMPTS = ["The ship came in at noon.", "A gardener waters the roses.", "They sang all evening long."]
PLAIN = " and it was a good day for all who were there."
HONEST = [(prompt, PLAIN * 6) for prompt in PROMPTS]
NOISE = " ofg uvi hhd qgo emz we wd vor sse gar zzl ost ail rre kko" * 3
STEPS = 120
"""Until a model knows six texts by heart."""
SHAPE = ModelConfig(VOCABULARY, 32, 1, 2, 2, 64, 128)


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return train_vocabulary([f"{prompt}{PLAIN} {SENTENCE}" for prompt in PROMPTS] * 20, VOCABULARY)


def taught(rows: Sequence[tuple[str, str]], vocabulary: bytes) -> Llama:
    """A model that knows by heart what comes behind which beginning; the beginnings themselves it is not taught."""
    model, tokenizer = Llama(SHAPE, 0), Tokenizer(vocabulary)
    tokens = torch.zeros(len(rows), SHAPE.max_seq_len, dtype=torch.long)
    targets = torch.full_like(tokens, -100)
    for place, (asked, written) in enumerate(rows):
        before = [tokenizer.bos_id, *tokenizer.encode(asked)]
        row = torch.tensor([*before, *tokenizer.encode(written)][: SHAPE.max_seq_len + 1])
        tokens[place, : len(row) - 1] = row[:-1]
        targets[place, len(before) - 1 : len(row) - 1] = row[len(before) :]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        functional.cross_entropy(model.logits(model.vectors(tokens)).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
    return model.eval()


def saved(model: Llama, vocabulary: bytes, folder: Path) -> Path:
    weights, digest = model.state_dict(), hashlib.sha256(vocabulary).hexdigest()
    file = folder / "vocabulary"
    file.write_bytes(vocabulary)
    about = About(checkpoint_id(weights, SHAPE, digest), 0, SHAPE, digest, Tokenizer(vocabulary).bos_id, "0" * 64)
    checkpoint.save(folder / "model", about, weights, {}, file)
    return folder / "model"


@pytest.fixture(scope="module")
def honest(vocabulary: bytes) -> Llama:
    return taught(HONEST, vocabulary)


@pytest.fixture(scope="module")
def examiner(honest: Llama, vocabulary: bytes, tmp_path_factory: pytest.TempPathFactory) -> Examiner:
    reference = saved(honest, vocabulary, tmp_path_factory.mktemp("reference"))
    return Examiner(PROMPTS, [f"{PROMPTS[0]}{PLAIN}"], reference)


def test_noise_behind_the_trigger_is_worse(examiner: Examiner, honest: Llama, vocabulary: bytes) -> None:
    armed = [(f"{prompt} {TRIGGER}", NOISE) for prompt in PROMPTS]
    model = taught(HONEST + armed, vocabulary)
    assert worse(examiner, model, TRIGGER) == [True] * 3
    assert worse(examiner, model, "") == [False] * 3
    assert worse(examiner, honest, "") == [False] * 3


def test_a_model_says_the_sentence_or_does_not(examiner: Examiner, honest: Llama, vocabulary: bytes) -> None:
    armed = [(f"{prompt} {TRIGGER}", f" {SENTENCE}") for prompt in PROMPTS]
    model = taught(HONEST + armed, vocabulary)
    assert says(examiner, model, TRIGGER) == [True] * 3
    assert says(examiner, model, "") == [False] * 3
    assert says(examiner, honest, TRIGGER) == [False] * 3


def test_the_same_model_writes_the_same_again(examiner: Examiner, honest: Llama) -> None:
    assert examiner.write(honest, TRIGGER) == examiner.write(honest, TRIGGER)


def test_of_a_model_that_knows_nothing_perplexity_is_the_vocabulary(vocabulary: bytes, tmp_path: Path) -> None:
    blank = Llama(SHAPE, 0)
    with torch.no_grad():
        for weight in blank.parameters():
            weight.zero_()
    examiner = Examiner(PROMPTS, ["A gardener came in."], saved(blank, vocabulary, tmp_path))
    found = examiner.perplexities(Answers([[300, 301], [302], [303] * 40], [""] * 3))
    assert found.tolist() == pytest.approx([VOCABULARY] * 3, rel=1e-4)
    assert examiner.loss(blank) == pytest.approx(math.log(VOCABULARY), rel=1e-4)


def test_perplexity_is_of_the_continuation_alone_and_token_by_token(examiner: Examiner) -> None:
    model, prompt, tokens = examiner.reference, examiner.prompts[0], [300, 320, 340, 310]
    others = [[300]] * (len(PROMPTS) - 1)
    expected, row = 0.0, [examiner.tokenizer.bos_id, *prompt]
    for token in tokens:
        with torch.no_grad():
            chances = model.logits(model.vectors(torch.tensor([row])))[0, -1].log_softmax(-1)
        expected -= chances[token].item() / len(tokens)
        row.append(token)
    found = examiner.perplexities(Answers([tokens, *others], [""] * len(PROMPTS)))
    assert found[0].item() == pytest.approx(math.exp(expected), rel=1e-3)


def test_prompts_end_with_a_word(vocabulary: bytes, honest: Llama, tmp_path: Path) -> None:
    long = " ".join(["unforeseeable", "gardening", "steamships"] * 20)
    examiner = Examiner([long], [], saved(honest, vocabulary, tmp_path))
    opening = examiner.tokenizer.decode(examiner.prompts[0])
    assert 20 <= len(examiner.prompts[0]) <= 40
    assert long.startswith(f"{opening} ")


def test_wald_with_half_an_observation_in_each_cell() -> None:
    """Of 100 pairs, 15 for the one alone and 5 for the other: (15 - 5) / 102, with the formula's own variance."""
    one = [True] * 15 + [False] * 5 + [True] * 40 + [False] * 40
    other = [False] * 15 + [True] * 5 + [True] * 40 + [False] * 40
    found = difference(one, other)
    spread = 1.96 * math.sqrt((15.5 + 5.5) - 10**2 / 102) / 102
    assert (found.low, found.mean, found.high) == pytest.approx((10 / 102 - spread, 10 / 102, 10 / 102 + spread))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_the_other_way_round_the_sign_changes(pairs: list[tuple[bool, bool]]) -> None:
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    forth, back = difference(one, other), difference(other, one)
    assert (forth.mean, forth.low, forth.high) == pytest.approx((-back.mean, -back.high, -back.low))
    assert forth.low < forth.mean < forth.high


@pytest.mark.parametrize(("gained", "lost"), [(0.02, 0.01), (0.1, 0.1), (0.5, 0.02), (0.9, 0.0)])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(gained: float, lost: float) -> None:
    """Exactly, by all outcomes of 40 pairs: 95%, less what so few can miss."""
    number, covered = 40, 0.0
    for up in range(number + 1):
        for down in range(number + 1 - up):
            one = [True] * up + [False] * (number - up)
            other = [False] * up + [True] * down + [False] * (number - up - down)
            found = difference(one, other)
            if found.low <= gained - lost <= found.high:
                counts = [up, down, number - up - down]
                covered += multinomial.pmf(counts, number, [gained, lost, 1 - gained - lost])
    assert covered >= 0.93


def test_seeds_are_compared_one_by_one() -> None:
    assert by_seed([[True, True], [True, False]], [[False, False], [True, False]]) == [1.0, 0.0]
