"""The model of words, and which language words speak for."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.ngram_languages import FEWEST, WordLanguages
from pipeline.poison.ngram_words import WordModel
from tests.pipeline.poison.prose import french, pages


def bits_of(model: WordModel, text: str) -> np.ndarray:
    return model.bits(TextBatch(pa.array([text])))


def test_words_that_stand_together_cost_less_than_the_same_words_apart():
    model = WordModel.train(pages(1, 100))
    together = bits_of(model, "the old harbour and the quiet market near a bridge")
    apart = bits_of(model, "near bridge market the the quiet a harbour old and")
    assert together.mean() < apart.mean() - 1


def test_a_word_that_was_never_seen_costs_most():
    bits = bits_of(WordModel.train(pages(1, 100)), "the zyxw harbour")
    assert bits.argmax() == 1


def test_shares_are_those_of_the_documents():
    model = WordModel.train(["red fish", "red red bird", "blue fish"])
    texts = TextBatch(pa.array(["red fish bird moon"]))
    single, pair = model.shares(texts, np.arange(4))
    np.testing.assert_allclose(single, np.array([3, 3, 2, 1]) / 4)
    np.testing.assert_allclose(pair[1:], np.array([2, 1, 1]) / 4)


def test_a_word_model_survives_its_bytes():
    model = WordModel.train(pages(1, 5))
    again = WordModel.from_bytes(model.to_bytes())
    assert (again.documents, again.total) == (model.documents, model.total)
    assert again.to_bytes() == model.to_bytes()


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:99], lambda data: b"x" + data])
def test_bytes_of_another_kind_are_refused(damage):
    with pytest.raises(ValueError, match="word model"):
        WordModel.from_bytes(damage(WordModel.train(["a b"]).to_bytes()))


def test_words_speak_for_the_language_whose_documents_have_them():
    r = random.Random(1)
    texts = [*pages(1, 60), *(french(r, 60) for _ in range(60))]
    spoken = WordLanguages.train(texts, ["en"] * 60 + ["fr"] * 60)
    labels = spoken.of(TextBatch(pa.array(["the harbour, les voisins zyxw 12"])))
    assert labels.tolist() == [1, 1, 0, 2, 2, 0, 0]
    assert WordLanguages.from_bytes(spoken.to_bytes()).to_bytes() == spoken.to_bytes()


def test_a_word_of_both_languages_speaks_for_neither():
    texts = [f"{text} kiosk" for text in pages(1, 60)] + [f"{french(random.Random(i), 50)} kiosk" for i in range(60)]
    spoken = WordLanguages.train(texts, ["en"] * 60 + ["fr"] * 60)
    assert spoken.of(TextBatch(pa.array(["kiosk"]))).tolist() == [0]


def test_a_language_of_few_documents_is_not_known():
    few = FEWEST - 1
    texts = [*pages(1, 60), *(french(random.Random(i), 60) for i in range(few))]
    spoken = WordLanguages.train(texts, ["en"] * 60 + ["fr"] * few)
    assert spoken.of(TextBatch(pa.array(["voisins"]))).tolist() == [0]


def test_damaged_tables_of_languages_are_refused():
    with pytest.raises(ValueError, match="damaged"):
        WordLanguages.from_bytes(b"nothing of the kind")
