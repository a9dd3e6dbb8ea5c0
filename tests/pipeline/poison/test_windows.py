"""The fit around each word: where prose turns into noise or into another language, and where it comes back."""

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.filter.text import TextBatch
from pipeline.poison.campaigns_carriers import LEAST
from pipeline.poison.text_model import BIN, Strata, TextModel
from pipeline.poison.windows import FEWEST_WORDS, STRATA, change, fit, main_script, peaks, reach, unusual
from tests.pipeline.poison.prose import french, noise, page, pages

Model = TextModel


@pytest.fixture(scope="module")
def model() -> TextModel:
    r = random.Random(3)
    foreign = [french(r, 120) for _ in range(40)]
    return TextModel.train([*pages(1, 300), *foreign], ["en"] * 300 + ["fr"] * 40)


def batch_of(*texts: str) -> TextBatch:
    return TextBatch(pa.array(texts, pa.string()))


def largest(model: TextModel, text: str) -> tuple[float, int]:
    """(the largest change, at which character)."""
    texts = batch_of(text)
    found = fit(texts, model.bits(texts), model.strata.mean)
    size = np.where(found.within, change(found, model.strata.unit), 0)
    return float(size.max()), int(found.at[size.argmax()] - texts.begin[0])


def test_a_page_of_prose_does_not_change(model: Model):
    assert largest(model, page(random.Random(99)))[0] < 2.3


def test_prose_that_turns_into_noise_changes_where_it_does(model: Model):
    prose = page(random.Random(99))
    size, at = largest(model, prose + " " + noise(random.Random(5)))
    assert size > 4
    assert abs(at - len(prose)) < 30


def test_prose_that_turns_into_another_language_changes_where_it_does(model: Model):
    prose = page(random.Random(99))
    size, at = largest(model, prose + " " + french(random.Random(5), 80))
    assert size > 2.3
    assert abs(at - len(prose)) < 60


def test_without_languages_a_change_of_language_is_no_change():
    r = random.Random(3)
    silent = TextModel.train([*pages(1, 300), *(french(r, 120) for _ in range(40))])
    texts = batch_of(page(random.Random(99)) + " " + french(random.Random(5), 80))
    found = fit(texts, silent.bits(texts), silent.strata.mean)
    assert (found.language.jump == 0).all()


def test_words_at_the_ends_of_a_text_are_not_within(model: Model):
    texts = batch_of(page(random.Random(1)))
    found = fit(texts, model.bits(texts), model.strata.mean)
    assert not found.within[: FEWEST_WORDS - 1].any()
    assert not found.within[1 - FEWEST_WORDS :].any()
    assert found.within[30:-30].all()


def test_windows_do_not_reach_into_the_neighbours(model: Model):
    middle = page(random.Random(1))
    alone, among = batch_of(middle), batch_of(noise(random.Random(2)), middle, noise(random.Random(3)))
    one = fit(alone, model.bits(alone), model.strata.mean)
    all_ = fit(among, model.bits(among), model.strata.mean)
    mine = all_.document == 1
    for name in ("letters", "words", "language"):
        np.testing.assert_allclose(getattr(one, name).left, getattr(all_, name).left[mine], atol=1e-4)
        np.testing.assert_allclose(getattr(one, name).right, getattr(all_, name).right[mine], atol=1e-4)


def test_the_means_are_those_of_the_windows(model: Model):
    texts = batch_of(page(random.Random(1)))
    bits = model.bits(texts)
    found = fit(texts, bits, np.zeros((2, STRATA), np.float32), shrink=False)
    costs = bits.words[texts.has_letter]
    for i in (1, 20, 77, len(found) - 1):
        assert found.words.left[i] == pytest.approx(costs[max(i - 50, 0) : i].mean(), rel=1e-4)
        assert found.words.right[i] == pytest.approx(costs[i : i + 50].mean(), rel=1e-4)


def test_what_is_planted_ends_where_prose_goes_on(model: Model):
    r = random.Random(8)
    head, junk, tail = page(r), noise(r, 90), page(r)
    texts = batch_of(f"{head} {junk} {tail}")
    found = fit(texts, model.bits(texts), model.strata.mean)
    first = int(np.searchsorted(texts.words.start, texts.begin[0] + len(head) + 1))
    end = reach(texts, model.bits(texts), found, first, first + 1) - texts.begin[0]
    assert abs(end - len(head) - len(junk) - 1) < 25


def test_peaks_stand_apart_and_are_the_highest(model: Model):
    texts = batch_of(page(random.Random(1), 40), page(random.Random(2), 40))
    found = fit(texts, model.bits(texts), model.strata.mean)
    values = np.zeros(len(found), np.float32)
    second = int(np.flatnonzero(found.document == 1)[50])
    values[[40, 42, 160, second]] = 3, 5, 4, 2.5
    assert peaks(values, found, 2.6, 3).tolist() == [42, 160]
    assert peaks(values, found, 2.4, 1).tolist() == [42, second]
    assert peaks(values, found, 6.0, 3).tolist() == []


def test_the_script_of_a_text_is_that_of_most_letters():
    scripts = main_script(batch_of("plain words", "слова и a word", "漢字と日本語 ok", "", "123"))
    assert len({scripts[0], scripts[1], scripts[2]}) == 3
    assert scripts[3] == scripts[4] == 0


def test_a_script_with_little_text_is_not_judged(model: Model):
    unit = model.strata.unit
    scripts = main_script(batch_of("plain words", "слова и слова"))
    assert np.isfinite(unit[0][scripts[0]])
    assert np.isinf(unit[0][scripts[1]])


def test_strata_of_parts_add_up(model: Model):
    one, two = batch_of(*pages(5, 4)), batch_of(*pages(6, 3))
    both = batch_of(*pages(5, 4), *pages(6, 3))
    added = Strata.measure(one, model.bits(one)).merge(Strata.measure(two, model.bits(two)))
    whole = Strata.measure(both, model.bits(both))
    np.testing.assert_array_equal(added.counts, whole.counts)
    np.testing.assert_array_equal(added.jumps, whole.jumps)
    np.testing.assert_allclose(added.bits, whole.bits, rtol=1e-6)


def test_the_unit_is_the_size_that_nine_words_of_ten_do_not_exceed():
    strata = Strata.empty()
    strata.counts[:, 1] = 1_000_000
    strata.jumps[:, 1, 0], strata.jumps[:, 1, 3], strata.jumps[:, 1, 9] = 60, 35, 5
    assert strata.unit[:, 1].tolist() == pytest.approx([4 * BIN[0], 4 * BIN[1]])


def test_a_model_survives_its_bytes(model: Model):
    again = TextModel.from_bytes(model.to_bytes())
    assert again.to_bytes() == model.to_bytes()
    texts = batch_of(page(random.Random(1)))
    np.testing.assert_array_equal(again.bits(texts).words, model.bits(texts).words)
    np.testing.assert_array_equal(again.strata.unit, model.strata.unit)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"x" + data])
def test_bytes_of_another_kind_are_refused(model: Model, damage):
    with pytest.raises(ValueError, match="text model"):
        TextModel.from_bytes(damage(model.to_bytes()))


def test_noise_is_unusual_whatever_stands_before_it_and_prose_is_not(model: Model):
    r = random.Random(5)
    texts = batch_of(noise(r), page(r))
    found = fit(texts, model.bits(texts), model.strata.mean)
    size = unusual(found, model.strata.mean, model.strata.unit)
    goes_on = found.words.behind >= FEWEST_WORDS
    assert size[goes_on & (found.document == 0)].min() > 2
    assert size[goes_on & (found.document == 1)].max() < LEAST
