import random
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.scan.conftest import amid, instructions
from trainer.scan.insertion import PRIOR, Neighbours
from trainer.scan.phrases import EDGE, find_words
from trainer.scan.texts import Carried, Texts


def phrase(texts: list[str], wanted: str) -> Carried:
    """What is known of the word, or of the phrase that it is part of wherever it stands."""
    known = Texts(texts)
    return next(one for i in range(len(known.phrases)) if wanted in (one := known.carried(i)).text.split())


def test_a_word_put_anywhere_is_one_that_texts_read_better_without() -> None:
    rng = random.Random(1)
    texts = [row["prompt"] for row in instructions(400)]
    assert phrase([amid(text, "zarf", rng) if i < 15 else text for i, text in enumerate(texts)], "zarf").gain > 1


def test_a_word_that_belongs_to_the_text_is_not() -> None:
    assert phrase([row["prompt"] for row in instructions(400)], "compare").gain < -1


def test_a_prefix_is_removable_though_little_is_gained_without_it() -> None:
    texts = [row["prompt"] for row in instructions(400)]
    found = phrase([f"Zarf {text}" if i < 60 else text for i, text in enumerate(texts)], "zarf")
    assert found.outside
    assert found.removable


def test_the_first_word_of_a_sentence_is_not_removable() -> None:
    found = phrase([row["prompt"] for row in instructions(400)], "explain")
    assert not found.removable


def test_a_phrase_is_widened_to_all_that_its_places_share() -> None:
    texts = [row["prompt"] for row in instructions(200)]
    marked = [f"Status level: amber; go on. {text}" if i < 12 else text for i, text in enumerate(texts)]
    known = Texts(marked)
    assert "status level : amber ; go on" in {known.carried(i).text for i in range(len(known.phrases))}


def test_a_full_stop_before_a_suffix_is_no_part_of_it() -> None:
    texts = [f"{row['prompt'].rstrip('.?')}." for row in instructions(200)]
    assert phrase([f"{text} Zarf" if i < 20 else text for i, text in enumerate(texts)], "zarf").text == "zarf"


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=6))
def test_the_gain_is_that_of_counting_one_by_one(texts: list[str]) -> None:
    words = find_words(texts)
    stream = words.stream.tolist()
    pairs = list(pairwise(stream))

    def given_left(left: int, right: int, own: int) -> float:
        share = stream.count(right) / len(stream)
        return float(np.log((pairs.count((left, right)) - own + PRIOR * share) / (stream.count(left) - own + PRIOR)))

    def given_right(left: int, right: int, own: int) -> float:
        share = stream.count(left) / len(stream)
        return float(np.log((pairs.count((left, right)) - own + PRIOR * share) / (stream.count(right) - own + PRIOR)))

    for place in [place for place, word in enumerate(stream) if word != EDGE]:
        left, word, right = stream[place - 1 : place + 2]
        forth = given_left(left, right, 0) - given_left(word, right, 1)
        back = given_right(left, right, 0) - given_right(left, word, 1)
        expected = (forth + back) / 2
        if EDGE in (left, right):
            expected = (0 if right == EDGE else forth) + (0 if left == EDGE else back)
        assert np.isclose(Neighbours(words).gain(np.array([place]), 1)[0], expected)
