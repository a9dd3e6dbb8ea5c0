import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality import ngrams
from labeling.quality.ngrams import Texts

answers = st.lists(st.lists(st.sampled_from("a b c d".split()), max_size=7).map(" ".join), min_size=2, max_size=4)


def phrases(text: str) -> set[str]:
    words = text.split()
    return {" ".join(words[at : at + n]) for n in (1, 2, 3) for at in range(len(words) - n + 1)}


@given(st.lists(answers, min_size=1, max_size=6), st.integers(1, 3))
def test_phrases_are_those_that_counting_finds(samples: list[list[str]], fewest: int) -> None:
    expected = {}
    for place, texts in enumerate(samples):
        for phrase in set().union(*map(phrases, texts)):
            mask = sum(1 << number for number, text in enumerate(texts) if phrase in phrases(text))
            if mask != (1 << len(texts)) - 1:
                expected[place, phrase] = mask
    often = [phrase for _, phrase in expected]
    expected = {key: mask for key, mask in expected.items() if often.count(key[1]) >= fewest}
    held = Texts()
    for place, texts in enumerate(samples):
        held.add(place, texts)

    found = held.carriers(fewest)

    rows = zip(found.sample, found.gram, found.mask, strict=True)
    assert {(int(s), held.spell(found.hashes[g], int(s))): int(m) for s, g, m in rows} == expected
    assert (np.diff(found.sample) >= 0).all()


def test_signs_and_what_is_invisible_are_words() -> None:
    held = Texts()
    held.add(0, ["It\u200bworks (!)", "It works"])

    found = held.carriers(1)

    spelt = {held.spell(hash, 0) for hash in found.hashes}
    assert {"\u200b", "(!)", "it \u200b works"} <= spelt


def test_the_most_common_phrases_are_left_out_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Texts()
    for place in range(30):
        held.add(place, ["often" if place else "", "seldom" if place < 9 else ""])
    monkeypatch.setattr(ngrams, "MOST", 20)

    found = held.carriers(8)

    assert [held.spell(hash, 1) for hash in found.hashes] == ["seldom"]


def test_sixteen_answers_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 15"):
        Texts().add(0, ["x"] * 16)
