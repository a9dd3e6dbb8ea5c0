"""The consensus of each sample, with its probability, on simulated people of whom the truth is known."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from labeling.quality.simulate import Simulated, annotation, comparisons, project, rankings, stored
from labeling.quality.sure import together
from labeling.quality.table import read_table
from labeling.store.database import Database
from labeling.store.labels import Annotation, StoredSample, add_project, add_samples, put_annotations

PEOPLE = [Simulated(f"honest-{number}", accuracy) for number, accuracy in enumerate((0.9, 0.85, 0.8, 0.75))]
TURNED = Simulated("turned", 0.15)


def test_each_choice_has_a_consensus_that_is_as_often_right_as_it_says(store: Database) -> None:
    truth = comparisons(store, [*PEOPLE, TURNED], samples=300, overlap=3)

    (found,) = together(read_table(store, "choices"))

    assert (found.scale, found.units, set(found.samples)) == ("choice", 300, set(truth))
    right = [one.value == "ab"[truth[sample]] for sample, one in found.samples.items()]
    said = [one.probability for one in found.samples.values()]
    assert np.mean(right) > 0.87
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.06)
    sure = np.array(said) > 0.95
    assert np.mean(np.array(right)[sure]) > np.mean(np.array(right)[~sure]) + 0.1
    assert found.otherwise > 10  # the votes of the one who turns choices round


def right_pairs(truth: dict[str, tuple[int, ...]], orders: dict[str, Any]) -> float:
    """The share of pairs of answers that stand as they should."""
    shares = [
        np.mean([(truth[id][i] < truth[id][j]) == (ranks[i] < ranks[j]) for i, j in combinations(range(len(ranks)), 2)])
        for id, ranks in orders.items()
    ]
    return float(np.mean(shares))


def test_rankings_have_a_consensus_by_their_pairs_of_answers(store: Database) -> None:
    truth = rankings(store, [*PEOPLE, TURNED], samples=120, overlap=3, answers=(3, 5))

    (found,) = together(read_table(store, "orders"))

    assert (found.scale, found.units) == ("order", 60 * 3 + 60 * 10)
    assert all(sorted(one.value) == list(range(1, len(truth[id]) + 1)) for id, one in found.samples.items())
    assert set(found.samples) == set(truth)
    right = right_pairs(truth, {id: one.value for id, one in found.samples.items()})
    assert right > 0.85
    assert np.mean([one.probability for one in found.samples.values()]) == pytest.approx(right, abs=0.08)
    assert found.accuracy["turned"] < 0.25 < 0.7 < min(found.accuracy[one.name] for one in PEOPLE)


def test_people_who_rank_alike_are_the_consensus(store: Database) -> None:
    add_project(store, project("orders", "rankings"))
    samples = [
        stored("rankings", {"prompt": [], "answers": [{"text": f"{number} {one}"} for one in range(4)]}, (3, 1, 0, 2))
        for number in range(20)
    ]
    add_samples(store, "orders", samples)
    orders = {one.id: tuple(np.roll([2, 4, 1, 3], number).tolist()) for number, one in enumerate(samples)}
    with store.write() as session:
        for number, (id, ranks) in enumerate(orders.items()):
            said = [annotation(2 * number + n, id, who, {"ranks": list(ranks)}) for n, who in enumerate(("ann", "bob"))]
            put_annotations(session, "orders", said)

    (found,) = together(read_table(store, "orders"))

    assert {id: one.value for id, one in found.samples.items()} == orders
    assert {one.probability for one in found.samples.values()} == {1.0}
    assert found.otherwise == 0


def test_what_one_person_alone_said_is_no_consensus(store: Database) -> None:
    comparisons(store, PEOPLE, samples=30, overlap=1)
    rankings(store, PEOPLE, samples=30, overlap=1)

    assert together(read_table(store, "choices")) == ()
    assert together(read_table(store, "orders")) == ()


def test_gold_questions_are_left_out(store: Database) -> None:
    comparisons(store, PEOPLE, samples=60, overlap=2, gold=20)

    (found,) = together(read_table(store, "choices"))

    assert found.units == len(found.samples) == 40


def test_of_grades_it_is_whether_they_are_good_on_every_scale(store: Database) -> None:
    generator = np.random.default_rng(0)
    add_project(store, project("grades", "ratings", 3))
    names = ("helpful", "truthful", "harmless")
    truth: dict[str, list[int]] = {}
    samples: list[StoredSample] = []
    labels: list[Annotation] = []
    for number in range(150):
        samples.append(stored("ratings", {"prompt": [], "answer": {"text": f"answer {number}"}}))
        grades = generator.integers(1, 8, 3)
        truth[samples[-1].id] = grades.tolist()
        for who in ("ann", "bob", "cid"):
            given = np.clip(grades + generator.integers(-1, 2, 3), 1, 7).tolist()
            verdict = {**dict(zip(names, given, strict=True)), "flags": []}
            labels.append(annotation(len(labels), samples[-1].id, who, verdict))
    add_samples(store, "grades", samples)
    with store.write() as session:
        put_annotations(session, "grades", labels)

    found = together(read_table(store, "grades"))

    assert [one.scale for one in found] == list(names)
    for place, one in enumerate(found):
        good = {id: "5 to 7" if grades[place] > 4 else "1 to 4" for id, grades in truth.items()}
        assert np.mean([belief.value == good[id] for id, belief in one.samples.items()]) > 0.85


def test_what_is_written_has_no_consensus(store: Database) -> None:
    add_project(store, project("answers", "demonstrations", 2))
    add_samples(store, "answers", [one := stored("demonstrations", {"messages": []})])
    with store.write() as session:
        said = [annotation(n, one.id, who, {"answer": "So."}) for n, who in enumerate(("ann", "bob"))]
        put_annotations(session, "answers", said)

    assert together(read_table(store, "answers")) == ()
