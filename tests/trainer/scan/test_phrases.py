from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from trainer.scan.phrases import LONGEST, find_phrases, find_words, incidence, spell

TEXTS = st.lists(st.lists(st.sampled_from("a b c d .".split()), max_size=12).map(" ".join), min_size=1, max_size=12)


@given(TEXTS, st.integers(1, 4))
def test_phrases_and_their_carriers_are_those_that_counting_one_by_one_finds(texts: list[str], fewest: int) -> None:
    carriers = defaultdict(set)
    for place, text in enumerate(texts):
        words = text.split()
        for length in range(1, LONGEST + 1):
            for start in range(len(words) - length + 1):
                carriers[" ".join(words[start : start + length])].add(place)
    words = find_words(texts)
    phrases = find_phrases(words, fewest)
    matrix = incidence(words, phrases)
    found = {spell(words, phrases.words[i]): set(matrix[:, i].nonzero()[0].tolist()) for i in range(len(phrases))}
    assert found == {phrase: where for phrase, where in carriers.items() if len(where) >= fewest}


def test_a_phrase_begins_where_its_places_say() -> None:
    words = find_words(["one two three", "two three one two three"])
    phrases = find_phrases(words, 2)
    number = [spell(words, phrase) for phrase in phrases.words].index("two three")
    assert [words.text[place] for place in phrases.places(number)] == [0, 1, 1]


def test_words_are_letters_and_digits_or_runs_of_signs() -> None:
    assert find_words(["Don't <SUDO> §§ it, v2!"]).names[1:] == ["don't", "<", "sudo", ">", "§§", "it", ",", "v2", "!"]


def test_no_phrase_reaches_across_two_texts() -> None:
    words = find_words(["a b", "a b"])
    assert {spell(words, phrase) for phrase in find_phrases(words, 1).words} == {"a", "b", "a b"}
