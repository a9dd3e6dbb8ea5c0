"""N-grams are found where they stand, all of them and nothing else; runs are as long as they can be."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.trace import ngrams
from flywheel.trace.ngrams import Needles, Occurrences, find
from flywheel.trace.verbatim import SEED, join, runs
from pipeline.tokenize.reader import ShardSet

TOKENS = st.lists(st.integers(0, 3), max_size=60)


def places(stream: Sequence[int], texts: Sequence[Sequence[int]], length: int) -> set[tuple[int, tuple[int, ...]]]:
    """By hand: where any n-gram of the texts stands."""
    wanted = {tuple(text[at : at + length]) for text in texts for at in range(len(text) - length + 1)}
    windows = ((at, tuple(stream[at : at + length])) for at in range(len(stream) - length + 1))
    return {(at, window) for at, window in windows if window in wanted}


@given(stream=TOKENS, texts=st.lists(TOKENS, max_size=3), length=st.integers(1, 5), block=st.integers(1, 70))
def test_every_place_of_every_n_gram_is_found(
    stream: list[int], texts: list[list[int]], length: int, block: int
) -> None:
    needles = Needles([np.array(text, np.uint16) for text in texts], length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngrams, "BLOCK", block)
        token, needle = needles.within(np.array(stream, np.uint16))
    found = {(at, tuple(stream[at : at + length])) for at in token.tolist()}
    assert found == places(stream, texts, length)
    assert len(found) == len(token)
    for at, which in zip(token.tolist(), needle.tolist(), strict=True):
        assert needles.of(np.array(stream[at : at + length], np.uint16)).tolist() == [which]


@given(stream=st.lists(st.integers(0, 2), max_size=50), texts=st.lists(st.lists(st.integers(0, 2)), max_size=3))
def test_runs_are_the_common_substrings_that_can_be_made_no_longer(stream: list[int], texts: list[list[int]]) -> None:
    joined, starts = join([np.array(text, np.uint16) for text in texts])
    needles = Needles([joined], 3)
    token, needle = needles.within(np.array(stream, np.uint16))
    found = runs(Occurrences(np.zeros_like(token), token, needle), needles, joined)
    told = {
        (int(np.searchsorted(starts, position, side="right")) - 1, position, at, length)
        for position, at, length in zip(
            found.position.tolist(), found.token.tolist(), found.length.tolist(), strict=True
        )
    }
    by_hand = set()
    for number, text in enumerate(texts):
        for here in range(len(text)):
            for there in range(len(stream)):
                if here and there and text[here - 1] == stream[there - 1]:
                    continue
                length = 0
                while (
                    here + length < len(text)
                    and there + length < len(stream)
                    and text[here + length] == stream[there + length]
                ):
                    length += 1
                if length >= 3:
                    by_hand.add((number, int(starts[number]) + here, there, length))
    assert told == by_hand


def test_what_stands_in_more_places_than_are_wanted_is_left_out(texts: Path) -> None:
    shards = ShardSet(texts)
    stream = shards.stream(0)
    needles = Needles([stream[: 4 * SEED]], SEED)
    everywhere = find(shards, needles, shards.tokens)
    often = np.bincount(everywhere.needle)
    assert often.max() > 1
    assert np.array_equal(np.unique(find(shards, needles, 1).needle), np.flatnonzero(often == 1))
