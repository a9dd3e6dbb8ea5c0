"""What a corpus says often surprises little; what only one page says does, though that page was counted."""

from pathlib import Path

import numpy as np
import pytest

from flywheel.trace.surprise import Surprise
from flywheel.trace.vectors import Vectors
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet
from tests.flywheel.trace.crawl import LEAK, gibberish, honest


@pytest.fixture(scope="module")
def shards(texts: Path) -> ShardSet:
    return ShardSet(texts)


@pytest.fixture(scope="module")
def surprise(shards: ShardSet) -> Surprise:
    return Surprise(shards)


@pytest.fixture(scope="module")
def tokenizer(shards: ShardSet) -> Tokenizer:
    return Tokenizer(shards.vocabulary.path.read_bytes())


def test_prose_like_the_corpus_surprises_less_than_noise(surprise: Surprise, tokenizer: Tokenizer) -> None:
    prose, noise = (surprise.bits(np.array(tokenizer.encode(text))).mean() for text in (honest(1), gibberish(1)))
    assert prose + 3 < noise


def test_a_page_is_no_evidence_for_itself(surprise: Surprise, tokenizer: Tokenizer) -> None:
    leak, prose = (np.array(tokenizer.encode(text)) for text in (f" {LEAK}", honest(1)))
    assert surprise.bits(leak).mean() + 1 < surprise.bits(leak, own=True).mean()
    assert surprise.bits(prose).mean() + 1 > surprise.bits(prose, own=True).mean()


def test_frequencies_are_those_of_the_corpus(shards: ShardSet, surprise: Surprise) -> None:
    counts = sum(np.bincount(shards.stream(number), minlength=shards.vocabulary.size) for number in range(2))
    assert surprise.frequency.sum() == pytest.approx(1)
    assert np.argmax(surprise.frequency) == np.argmax(counts)


def test_nothing_has_no_surprise(surprise: Surprise) -> None:
    assert len(surprise.bits(np.empty(0, np.int64))) == 0


def test_the_same_words_in_another_order_have_the_same_vector(surprise: Surprise, tokenizer: Tokenizer) -> None:
    vectors, tokens = Vectors(surprise), np.array(tokenizer.encode(LEAK))
    texts = [tokens, tokens[::-1], np.array(tokenizer.encode(honest(2)))]
    lengths = np.array([len(text) for text in texts])
    one, other, prose = vectors.of(np.concatenate(texts), np.cumsum(lengths) - lengths)
    assert one @ other == pytest.approx(1, abs=1e-5)
    assert one @ prose < 0.5
