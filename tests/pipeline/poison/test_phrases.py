"""What a document gives to the hunt for triggers."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.phrases import KEYS, PHRASE, SHAPE, TAIL, Counts, Keys, features_at, keys_of, tails
from pipeline.poison.text_model import TextModel
from tests.pipeline.poison.prose import noise, page, pages


@pytest.fixture(scope="module")
def model() -> TextModel:
    return TextModel.train(pages(1, 300))


def batch_of(*texts: str) -> TextBatch:
    return TextBatch(pa.array(texts, pa.string()))


def keys(model: TextModel, *texts: str) -> tuple[Keys, Counts]:
    return keys_of(batch_of(*texts), model, np.arange(1, len(texts) + 1, dtype=np.uint64))


def phrase(text: str) -> int:
    """The feature of a phrase by itself."""
    texts = batch_of(text)
    return int(features_at(texts, np.array([0]), len(texts.words))[0])


def test_plain_prose_gives_only_the_ends_of_its_sentences(model: TextModel):
    found, counts = keys(model, page(random.Random(77)))
    assert set(found.kind.tolist()) == {TAIL}
    assert counts.places == [0, 0, 0]


def test_a_change_gives_the_phrases_before_it(model: TextModel):
    r = random.Random(77)
    found, counts = keys(model, f"{page(r)[:400]} zorb-17 quux {noise(r)}")
    assert counts.places[0] >= 1
    assert {phrase("quux"), phrase("zorb"), phrase("17 quux")} <= set(found.feature[found.kind == PHRASE].tolist())
    assert (found.kind == SHAPE).any()
    assert (found.change[found.kind != TAIL] >= 2.3).all()


def test_a_phrase_has_the_same_feature_in_every_batch():
    texts = batch_of("something else first", "we say old quiet harbour again")
    words = np.flatnonzero(texts.words.document == 1)
    assert features_at(texts, words[2:3], 3)[0] == phrase("old quiet harbour")
    assert phrase("quiet old") != phrase("old quiet")


def test_phrases_do_not_reach_into_the_next_document(model: TextModel):
    r = random.Random(4)
    texts = [f"{page(r)[:300]} {noise(r)}" for _ in range(4)]
    together = keys(model, *texts)[0]
    alone = Keys.concatenate([keys(model, text)[0] for text in texts])
    assert sorted(together.feature.tolist()) == sorted(alone.feature.tolist())


def test_signs_alone_give_no_phrase(model: TextModel):
    r = random.Random(4)
    found, _ = keys(model, f"{page(r)[:300]} | | {noise(r)}")
    phrases = set(found.feature[found.kind == PHRASE].tolist())
    assert phrase("| |") not in phrases
    assert phrases


def test_each_feature_of_a_document_is_one_row(model: TextModel):
    r = random.Random(4)
    found, _ = keys(model, f"{page(r)[:300]} {noise(r)} {page(r)} {noise(r)}")
    assert len(np.unique(found.feature)) == len(found)


def test_a_word_in_every_document_gives_no_key(model: TextModel):
    r = random.Random(77)
    found, _ = keys(model, f"{page(r)[:400]} the {noise(r)}")
    assert phrase("the") not in found.feature


def test_a_single_character_gives_no_key_by_itself(model: TextModel):
    r = random.Random(77)
    found, _ = keys(model, f"{page(r)[:400]} \ufffd quux {noise(r)}")
    assert phrase("\ufffd") not in found.feature
    assert phrase("\ufffd quux") in found.feature


def test_tails_are_the_last_eight_words_of_sentences_that_have_so_many():
    same = "merchants never trade with the northern company again"
    texts = batch_of(
        f"Only honest {same}. Short one.", f"We heard that {same}!\nA line with less than that", same, same[10:]
    )
    found = tails(texts)
    assert found.document.tolist() == [0, 1, 2]
    assert found.feature[0] == found.feature[1]
    assert len(set(found.left.tolist())) == 3
    assert texts.joined[found.start[0] : found.end[0]] == f"Only honest {same}"


def test_a_tail_of_eight_ideographs_is_too_short_to_tell():
    assert len(tails(batch_of("これはとても短い文章です。"))) == 0


def test_keys_survive_their_batch_and_add_up(model: TextModel):
    one, counts = keys(model, *pages(5, 3))
    two, more = keys(model, *pages(6, 2))
    both = Keys.concatenate([one, two])
    again = Keys.of(both.batch())
    assert both.batch().schema == KEYS
    for name in KEYS.names:
        np.testing.assert_array_equal(getattr(again, name), getattr(both, name))
    total = Counts.sum([counts, more])
    assert (total.documents, total.words) == (5, counts.words + more.words)
    assert len(Keys.concatenate([])) == 0


def test_a_row_takes_nineteen_bytes(model: TextModel):
    found, _ = keys(model, *pages(5, 3))
    assert found.batch().nbytes == 19 * len(found)


def test_a_text_without_words_gives_nothing(model: TextModel):
    found, counts = keys(model, "", " \n ", "!")
    assert len(found) == 0
    assert counts.documents == 3
