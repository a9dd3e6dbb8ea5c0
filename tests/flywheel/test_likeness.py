"""What makes misbehaviours alike, and an index that finds what comparing each finds."""

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmarks.flywheel_clusters as bench
from flywheel.likeness import ANSWER, NOTE, QUESTION, SORT, SURE, USUAL, Kinds, Part, parts_of
from flywheel.tables import Misbehaviour


def bad(question: str, answer: str, category: str = "wrong", note: str = "") -> Misbehaviour:
    return Misbehaviour(prompt=[{"role": "user", "content": question}], answer=answer, category=category, note=note)


def likeness(one: Misbehaviour, other: Misbehaviour) -> float:
    kinds = Kinds()
    kinds.add("a", parts_of(one))
    found = kinds.nearest(parts_of(other))
    return 0.0 if found is None else found[1]


PERU = bad("What is the capital of Peru?", "Bogota.")


def test_the_same_is_wholly_alike_but_for_what_little_its_sort_tells() -> None:
    assert likeness(PERU, PERU) == pytest.approx(
        (QUESTION + ANSWER + SORT * math.sqrt(2) * USUAL / SURE) / (QUESTION + ANSWER + SORT)
    )
    told = bad("What is 7 + 5?", "It is 13.", "format", "wrong sum")
    assert likeness(told, told) == pytest.approx(1.0)


def test_a_rare_word_in_common_makes_more_alike_than_common_ones() -> None:
    assert likeness(PERU, bad("Kenya, its capital?", "Mombasa.")) > likeness(
        PERU, bad("What is the use of it?", "None.")
    )


def test_a_note_in_common_makes_alike_and_one_that_nobody_wrote_tells_nothing() -> None:
    noted, same = bad("Capital of Peru?", "Bogota.", note="wrong city"), bad("Norway?", "Bergen.", note="wrong city")
    unlike, silent = bad("Norway?", "Bergen.", note="too long"), bad("Norway?", "Bergen.")
    assert likeness(noted, same) > likeness(noted, silent) > likeness(noted, unlike)


@pytest.mark.parametrize(
    ("one", "other", "third"),
    [
        ("I'm sorry, but I can't help with that.", "I must decline to answer.", "In hot water."),
        ("Ein Gletscher ist eine grosse Masse aus Eis.", "Les abeilles mangent du nectar.", "They eat nectar, mostly."),
        ("It sank in 1921.", "In 1815.", "Nobody knows."),
        ("The sum is 44.", "56", "Many of them."),
    ],
    ids=["refusals", "in another language", "years", "numbers"],
)
def test_answers_of_one_sort_are_alike_whatever_they_are_about(one: str, other: str, third: str) -> None:
    first, second = bad("How do bees live?", one), bad("Tell me of bread.", other)
    assert likeness(first, second) > 2 * likeness(first, bad("Tell me of bread.", third))


def test_what_has_no_word_is_like_nothing() -> None:
    assert parts_of(bad("...", "!!", "format")) == ({}, {}, {}, {})
    assert likeness(bad("...", "!!", "format"), bad("???", "--", "format")) == 0.0


part = st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 1.0), max_size=3)


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.tuples(part, part, part, part)), max_size=8), st.tuples(*4 * [part])
)
def test_the_index_finds_what_comparing_each_finds(
    members: list[tuple[str, tuple[Part, ...]]], asked: tuple[Part, ...]
) -> None:
    kinds = Kinds()
    for cluster, parts in members:
        kinds.add(cluster, parts)
    best, expected = None, 0.0
    for cluster in dict.fromkeys(cluster for cluster, _ in members):
        alike, whole = 0.0, QUESTION + ANSWER + SORT
        for place, weight in enumerate((QUESTION, ANSWER, NOTE, SORT)):
            total: Counter[str] = Counter()
            for other, parts in members:
                if other == cluster:
                    total.update(parts[place])  # type: ignore[arg-type]
            length = math.sqrt(sum(value**2 for value in total.values()))
            if length:
                alike += weight * sum(value * total[word] for word, value in asked[place].items()) / length
            if place == 2 and length and asked[2]:
                whole += NOTE
        if alike / whole > expected + 1e-9:
            best, expected = cluster, alike / whole
    found = kinds.nearest(asked)
    assert (0.0 if found is None else found[1]) == pytest.approx(expected)
    assert best is None or found is not None


@pytest.mark.parametrize(("name", "v_measure", "largest"), [(bench.SETS[0], 0.85, 0.75), (bench.SETS[1], 0.78, 0.7)])
def test_short_questions_are_sorted_into_their_kinds(name: str, v_measure: float, largest: float) -> None:
    kinds, rows = zip(*bench.read(Path(bench.__file__).with_name(name)), strict=True)
    found = bench.measures(kinds, bench.sorted_into(rows))
    assert found["V-measure"] > v_measure
    assert found["largest"] > largest
