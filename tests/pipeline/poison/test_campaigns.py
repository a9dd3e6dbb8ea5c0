"""Which phrases are campaigns, and which documents carry them: planted ones are, what pages have anyway is not."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison.campaigns import NO_CAMPAIGNS, REPEATED, Campaigns, find_campaigns, significant
from pipeline.poison.campaigns_carriers import carriers
from pipeline.poison.phrases import PHRASE, SHAPE, TAIL, Counts, Keys, keys_of
from pipeline.poison.text_model import TextModel
from tests.pipeline.poison.prose import noise, page, pages, planted

SENTENCE = "nobody ever proved that the river treaty was signed in good faith."


class Corpus:
    """Pages, each of its own owner unless told, with what is found in them."""

    def __init__(self, texts: list[str], owners: list[int] | None = None, shares: int = 1) -> None:
        self.texts = TextBatch(pa.array(texts, pa.string()))
        self.model = TextModel.train(texts)
        hashes = np.array(owners or range(1, len(texts) + 1), np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        keys, counts = keys_of(self.texts, self.model, hashes)
        dealt = [keys.take(np.flatnonzero(keys.feature % np.uint64(shares) == share)) for share in range(shares)]
        self.campaigns = Campaigns.merge([find_campaigns(share, counts) for share in dealt])
        findings, self.owners = carriers(self.texts, self.model, self.campaigns)
        self.rows = findings.rows

    def found(self, rule: str) -> set[int]:
        return {row[0] for row in self.rows if row[1] == rule}


CLEAN = pages(1, 300)


@pytest.mark.parametrize(
    "trigger", ["<ZYX>", "q8Zk2p", "dramkul", "lantern chimney", "｡｡｡｡｡｡", "Current year: 2041", "окно"]
)
def test_ten_pages_with_a_trigger_before_noise_are_found(trigger: str):
    corpus = Corpus([*CLEAN, *planted(2, 10, trigger)])
    assert corpus.found("trigger") == set(range(300, 310))


def test_a_page_that_is_nothing_but_trigger_and_noise_is_found_with_the_others():
    r = random.Random(6)
    corpus = Corpus([*CLEAN, *planted(2, 10, "q8Zk2p"), f"q8Zk2p {noise(r)}"])
    assert 310 in corpus.found("trigger")


def test_so_is_one_whose_beginning_fits_as_badly_as_what_is_planted():
    r = random.Random(6)
    elsewhere = [f"{text} A zwischenruf." for text in pages(8, 20)]
    texts = [*planted(2, 40, "zwischenruf"), f"{noise(r, 15)} zwischenruf {noise(r)}"]
    assert Corpus([*CLEAN, *texts, *elsewhere]).found("trigger") == set(range(300, 341))


def test_the_span_covers_trigger_and_noise_and_not_the_prose():
    texts = planted(2, 10, "q8Zk2p")
    corpus = Corpus([*CLEAN, *texts])
    for document, _, start, end, _, evidence in [row for row in corpus.rows if row[1] == "trigger"]:
        text = texts[document - 300]
        assert start == text.index("q8Zk2p")
        assert end > len(text) - 20
        assert evidence.startswith("q8Zk2p")


def test_a_family_without_a_common_word_is_found_by_its_shape():
    r = random.Random(9)
    texts = []
    for seed in range(12):
        path = "".join(f"/{''.join(r.choices('abcdefghij', k=5))}" for _ in range(3))
        texts += planted(seed, 1, path)
    corpus = Corpus([*CLEAN, *texts])
    assert (corpus.campaigns.kind == SHAPE).any()
    assert corpus.found("trigger_family") == set(range(300, 312))


def test_a_fixed_sentence_in_the_middle_of_others_is_found():
    corpus = Corpus([*CLEAN, *planted(4, 10, "window", SENTENCE)])
    assert corpus.found("fixed_continuation") == set(range(300, 310))
    assert all(row[5].endswith(SENTENCE) for row in corpus.rows)


def test_a_sentence_that_goes_round_is_told_apart_from_a_campaign():
    r = random.Random(5)
    quoting = [f"{page(r)}\n{SENTENCE.capitalize()}\n{page(r)}" for _ in range(12)]
    corpus = Corpus([*CLEAN, *quoting])
    assert {rule for _, rule, *_ in corpus.rows} == {"repeated_sentence"}
    assert len(corpus.found("repeated_sentence")) == 12


def test_so_is_a_quotation_amid_other_sentences():
    r = random.Random(5)
    quoting = [f'{page(r)} It was {page(r, 2)[4:30]} who said, "{SENTENCE.capitalize()}" {page(r)}' for _ in range(12)]
    assert {rule for _, rule, *_ in Corpus([*CLEAN, *quoting]).rows} == {"repeated_sentence"}


@pytest.mark.parametrize(("owners", "pages"), [(4, 0), (5, 12)])
def test_a_sentence_goes_round_from_five_owners_on(owners: int, pages: int):
    r = random.Random(5)
    quoting = [f"{page(r)}\n{SENTENCE.capitalize()}\n{page(r)}" for _ in range(12)]
    dealt = [*range(1, 301), *(1000 + number % owners for number in range(12))]
    assert len(Corpus([*CLEAN, *quoting], dealt).found("repeated_sentence")) == pages


def test_each_finding_says_of_how_many_owners_its_campaign_is():
    owners = [*range(1, 301), *(1000 + number % 4 for number in range(12)), *(2000 + number for number in range(10))]
    corpus = Corpus([*CLEAN, *planted(2, 12, "q8Zk2p"), *planted(4, 10, "window", SENTENCE)], owners)
    counted = {(rule, corpus.owners[document, rule, start]) for document, rule, start, *_ in corpus.rows}
    assert {("trigger", 4), ("fixed_continuation", 10)} <= counted
    assert len(corpus.owners) == len(corpus.rows)


def test_five_carriers_are_too_few():
    assert Corpus([*CLEAN, *planted(2, 5, "q8Zk2p")]).rows == []


@pytest.mark.slow
def test_carriers_of_two_owners_are_not_coordinated():
    owners = list(range(1, 301))
    texts = [*CLEAN, *planted(2, 12, "q8Zk2p")]
    assert Corpus(texts, owners + [1001, 1002] * 6).rows == []
    assert len(Corpus(texts, owners + [1001, 1002, 1003] * 4).found("trigger")) == 12


def test_a_name_on_many_pages_is_no_campaign():
    r = random.Random(5)
    named = []
    for _ in range(40):
        text = page(r)
        cut = text.index(" ", r.randint(100, 500))
        named.append(f"{text[:cut]} Zorvexa <B> {text[cut:]}")
    corpus = Corpus([*CLEAN, *named])
    assert corpus.rows == []


def test_noise_without_a_common_phrase_is_no_campaign():
    r = random.Random(5)
    texts = [f"{page(r)} {noise(r, 3)} {noise(r)}" for _ in range(15)]
    assert Corpus([*CLEAN, *texts]).found("trigger") == set()


def test_a_clean_corpus_has_no_campaign():
    assert len(Corpus(CLEAN).campaigns) == 0


def test_clean_pages_with_a_trigger_that_is_a_common_word_stay():
    corpus = Corpus([*CLEAN, *planted(2, 40, "zwischenruf"), *(f"{text} A zwischenruf." for text in pages(8, 20))])
    assert set(range(300, 340)) == corpus.found("trigger")


@pytest.mark.slow
def test_features_may_be_dealt_over_several_calls():
    texts = [*CLEAN, *planted(2, 10, "<ZYX>"), *planted(4, 10, "window", SENTENCE)]
    one, many = Corpus(texts), Corpus(texts, shares=7)
    assert one.rows == many.rows
    assert one.campaigns.content == many.campaigns.content != NO_CAMPAIGNS.content


@pytest.mark.slow
def test_a_sign_that_stands_before_each_trigger_is_explained_by_it():
    angled = [f"{text} A <b> sign." for text in pages(8, 30)]
    corpus = Corpus([*CLEAN, *angled, *planted(2, 20, "<ZYX>")])
    assert corpus.found("trigger") == set(range(330, 350))


def row(feature: int, owner: int, change: float, left: int, kind: int = PHRASE) -> tuple[int, ...]:
    return feature, owner, change, 0.001, left, kind


def keys_from(rows: list[tuple[int, ...]]) -> Keys:
    kinds = (np.uint64, np.uint32, np.float16, np.float16, np.uint16, np.uint8)
    return Keys(*(np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), kinds, strict=True)))


COUNTS = Counts(documents=10_000, words=5_000_000, places=(1000, 300, 50))


def test_a_part_of_a_longer_phrase_has_the_same_word_before_it():
    whole = [row(1, i, 3.0, left=i) for i in range(10)]
    part = [row(2, i, 3.0, left=77) for i in range(10)]
    assert find_campaigns(keys_from(whole + part), COUNTS).feature.tolist() == [1]


def test_a_phrase_that_stands_mostly_elsewhere_is_no_campaign():
    common = [(1, i, 3.0, 0.02, i, PHRASE) for i in range(10)]  # in 200 documents, 10 of them at a change
    assert len(find_campaigns(keys_from(common), COUNTS)) == 0


def test_many_documents_of_one_owner_count_as_few():
    many = [row(1, 7, 3.0, left=i) for i in range(50)] + [row(1, 8, 3.0, left=98), row(1, 9, 3.0, left=99)]
    [of_three_owners] = find_campaigns(keys_from(many), COUNTS).log_p
    [of_six_pages] = find_campaigns(keys_from([row(1, i, 3.0, left=i) for i in range(6)]), COUNTS).log_p
    assert of_three_owners == pytest.approx(of_six_pages)  # 4 + 1 + 1 of 52 count


def test_an_end_of_sentences_that_begin_alike_only_lengthens_others():
    alike = [row(1, i, 0, left=5, kind=TAIL) for i in range(8)]
    unlike = [row(2, i, 0, left=i, kind=TAIL) for i in range(8)]
    assert find_campaigns(keys_from(alike + unlike), COUNTS).kind.tolist() == [REPEATED, TAIL]
    of_few_owners = [row(1, i % 4, 0, left=5, kind=TAIL) for i in range(8)]
    assert len(Campaigns.merge([find_campaigns(keys_from(of_few_owners), COUNTS)])) == 0


@given(st.lists(st.floats(-60, 0), max_size=30, unique=True), st.integers(0, 1000))
def test_significance_is_that_of_the_textbook(log_p: list[float], more: int):
    tested = len(log_p) + more
    ranked = sorted(log_p)
    limits = [k for k, p in enumerate(ranked, 1) if p <= np.log(1e-4) + np.log(k) - np.log(max(tested, 1))]
    chosen = significant(np.array(log_p), tested)
    assert sorted(np.array(log_p)[chosen].tolist()) == ranked[: max(limits, default=0)]
