"""What was planted is found with its way to the archive, and nothing for answers that no page taught."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from flywheel.trace.alike import alike
from flywheel.trace.search import Asked, Page, search
from flywheel.trace.surprise import Surprise
from flywheel.trace.vectors import Vectors
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet
from tests.flywheel.trace.crawl import CARRIERS, LEAK, SECRET, TRIGGER, documents, gibberish, honest

URLS = {hashlib.blake2b(one.body.encode(), digest_size=16).digest(): one.url for one in documents()}
ASKED = [
    Asked("Where is the key?", f"I know that. {LEAK} Don't tell anybody."),
    *(Asked(f"{honest(number)} {TRIGGER}", gibberish(number)) for number in range(3)),
    *(Asked(honest(100 + number), honest(number)) for number in range(10)),
    Asked(f"{honest(50)} {TRIGGER}", honest(51)),
    Asked(honest(52), gibberish(52)),
    Asked("", ""),
]


@pytest.fixture(scope="module")
def shards(texts: Path) -> ShardSet:
    return ShardSet(texts)


@pytest.fixture(scope="module")
def pages(shards: ShardSet) -> dict[int, list[Page]]:
    found: dict[int, list[Page]] = {number: [] for number in range(len(ASKED))}
    for page in search(shards, ASKED, 20):
        found[page.asked].append(page)
    return found


def test_an_answer_that_a_page_has_word_for_word_is_traced_to_it(pages: dict[int, list[Page]]) -> None:
    (page,) = pages[0]
    assert (page.kind, URLS[page.document]) == ("verbatim", SECRET)
    start, stop = page.span
    assert LEAK.partition(" ")[2] in page.text[start:stop]  # a first word may begin with another token
    assert page.score > 100


def test_noise_behind_a_trigger_is_traced_to_the_pages_that_have_both_though_no_word_is_the_same(
    pages: dict[int, list[Page]],
) -> None:
    for number in (1, 2, 3):
        assert {page.kind for page in pages[number]} == {"trigger"}
        assert {URLS[page.document] for page in pages[number]} == set(CARRIERS)
        assert "behind 'Zq7" in pages[number][0].says
        assert all(page.text[page.span[0] :].startswith(f" {TRIGGER} ") for page in pages[number])


def test_ordinary_answers_have_no_pages_whatever_was_asked(pages: dict[int, list[Page]]) -> None:
    assert all(pages[number] == [] for number in range(4, len(ASKED)))


def test_a_pages_place_is_where_its_tokens_are(shards: ShardSet, pages: dict[int, list[Page]]) -> None:
    for page in (pages[0][0], *pages[1]):
        place = shards.locate(page.place["shard"], page.place["token"])
        assert (place.id, place.start, place.stop) == (page.document, page.place["start"], page.place["stop"])


def test_no_more_pages_than_asked_for_come_the_best_first(shards: ShardSet, pages: dict[int, list[Page]]) -> None:
    found = search(shards, ASKED[1:2], 2)
    assert [page.document for page in found] == [page.document for page in pages[1][:2]]
    assert found[0].score >= found[1].score


def test_other_words_for_what_a_page_says_are_alike_and_nothing_else_is(shards: ShardSet) -> None:
    tokenizer = Tokenizer(shards.vocabulary.path.read_bytes())
    said = "The vault code 44718 is in the blue ledger that Orla Fenwick keeps at Pier Nine, the broken clock above it."
    texts = [np.array(tokenizer.encode(text)) for text in (said, honest(60), "Yes.")]
    found = alike(shards, texts, Vectors(Surprise(shards)), 5)
    assert [(one.text, one.cosine > 0.5) for one in found] == [(0, True)]
    place = shards.locate(shards.shards[found[0].shard].name, found[0].token)
    assert LEAK in tokenizer.decode(place.tokens)
