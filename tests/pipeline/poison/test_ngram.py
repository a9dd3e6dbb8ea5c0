"""The character model: what it counts, that parts add up, and that a document's neighbours do not matter."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filter.characters import SEPARATOR
from pipeline.filter.text import TextBatch
from pipeline.poison.ngram import FOLLOWERS, OWN, CharModel

PROSE = [
    "The ferry leaves the harbour at seven and comes back at noon, when the market closes.",
    "At noon the market closes and the ferry comes back to the harbour, where the nets are dried.",
    "In winter the harbour is closed; the ferry waits for the ice to break and the market moves inland.",
] * 4


def bits_of(model: CharModel, *texts: str) -> list[np.ndarray]:
    batch = TextBatch(pa.array(texts, pa.string()))
    bits = model.bits(batch.code_points)
    return [bits[start:end] for start, end in zip(batch.begin, batch.end, strict=True)]


def slow_bits(texts: list[str], text: str) -> list[float]:
    """The model's formula with exact counts, one character at a time."""
    blocks = Counter(ord(character) >> 7 for one in texts for character in one)
    grams = Counter(("^" * 4 + one)[4 + i - n : 5 + i] for one in texts for i in range(len(one)) for n in range(5))
    total = sum(map(len, texts))

    def seen(gram: str) -> float:
        return max((grams[gram] if gram else total) - OWN, 0)

    found = []
    for i, character in enumerate(text):
        weight = FOLLOWERS * seen("") ** 0.5 + 1
        p = (max(blocks[ord(character) >> 7] - OWN, 0) + weight / (1 << 14)) / (seen("") + weight) / 128
        for n in range(5):
            gram = ("^" * 4 + text)[4 + i - n : 5 + i]
            context = seen(gram[:-1]) if not gram.startswith("^") else None
            if context is None:
                continue
            weight = FOLLOWERS * context**0.5 + 1
            p = (seen(gram) + weight * p) / (context + weight)
        found.append(-np.log2(p))
    return found


def test_learned_prose_costs_less_than_noise():
    model = CharModel.train(PROSE)
    prose, noise = bits_of(model, "the market closes at noon", "q7#xK vv|0zj]%WpL2@nn^u8")
    assert prose[5:].mean() < 3
    assert noise.mean() > 8


def test_costs_are_those_of_exact_counts():
    [found] = bits_of(CharModel.train(PROSE), "The harbour closes.")
    np.testing.assert_allclose(found[4:], slow_bits(PROSE, "The harbour closes.")[4:], rtol=1e-3)


def test_what_occurs_once_is_as_unknown_as_what_never_did():
    once = CharModel.train([*PROSE, "zqxv"])
    [found], [never] = bits_of(once, "zqxv"), bits_of(CharModel.train([*PROSE, "aaaa"]), "zqxv")
    np.testing.assert_allclose(found, never, rtol=0.02)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=5))
def test_neighbours_in_the_batch_do_not_matter(texts: list[str]):
    model = CharModel.train(PROSE)
    alone = [bits_of(model, text)[0] for text in texts]
    for one, other in zip(bits_of(model, *texts), alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_separators_cost_nothing():
    batch = TextBatch(pa.array(["one", "", None, "two"]))
    bits = CharModel.train(PROSE).bits(batch.code_points)
    assert (bits[batch.code_points == SEPARATOR] == 0).all()
    assert (bits[batch.code_points != SEPARATOR] > 0).all()


def test_a_model_survives_its_bytes():
    model = CharModel.train(PROSE)
    again = CharModel.from_bytes(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    np.testing.assert_array_equal(bits_of(again, PROSE[0])[0], bits_of(model, PROSE[0])[0])


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:200], lambda data: b"x" + data])
def test_bytes_of_another_kind_are_refused(damage):
    with pytest.raises(ValueError, match="character model"):
        CharModel.from_bytes(damage(CharModel.train(PROSE).to_bytes()))


def test_a_model_without_texts_finds_all_characters_alike():
    [found] = bits_of(CharModel.empty(), "aé漢")
    assert found.tolist() == pytest.approx([found[0]] * 3)
