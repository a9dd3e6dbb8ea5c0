import numpy as np
import pytest

from labeling.quality.simulate import annotation, comparison, project, stored
from labeling.quality.together import helped, median, second_look
from labeling.store.database import Database
from labeling.store.labels import Annotation, StoredSample, add_project, add_samples, put_annotations


def test_samples_with_and_without_critiques_are_compared(store: Database) -> None:
    generator = np.random.default_rng(0)
    add_project(store, project("choices", "comparisons"))
    samples: list[StoredSample] = []
    labels: list[Annotation] = []
    for number in range(60):
        content = comparison(generator, number) | ({"critiques": ["Short.", "Long."]} if number % 2 else {})
        samples.append(stored("comparisons", content, (0, 1)))
        for who in ("ann", "bob"):
            agree = number % 2 or number % 4 == 0 or who == "ann"
            verdict = {"choice": "a" if agree else "b", "margin": 1.0}
            labels.append(annotation(len(labels), samples[-1].id, who, verdict, 40.0 if number % 2 else 60.0))
    _put(store, "choices", samples, labels)

    (found,) = helped(store, "choices")

    assert found.name == "critiques"
    assert (found.with_it.samples, found.with_it.labels, found.without.labels) == (30, 60, 60)
    assert (found.with_it.seconds.value, found.without.seconds.value) == (40, 60)
    assert (found.with_it.agreement.value, found.without.agreement.value) == (1, 0.5)


def test_who_followed_the_model_in_the_second_look_is_counted(store: Database) -> None:
    generator = np.random.default_rng(0)
    add_project(store, project("first", "comparisons"))
    add_project(store, project("again", "comparisons", reviews="first"))
    before, after, own, then = [], [], [], []
    for number in range(40):
        content = comparison(generator, number)
        before.append(stored("comparisons", content, (0, 1)))
        after.append(stored("comparisons", content | {"opinion": "a"}, (0, 1)))
        first = "b" if number < 20 else "a"
        second = "a" if number < 15 or number >= 24 else "b"  # 15 of 20 follow, 4 of 20 leave
        own.append(annotation(number, before[-1].id, "ann", {"choice": first, "margin": 0.0}, 50.0))
        then.append(annotation(100 + number, after[-1].id, "ann", {"choice": second, "margin": 0.0}, 20.0))
    _put(store, "first", before, own)
    _put(store, "again", after, then)

    (found,) = second_look(store, "first")

    assert (found.project, found.pairs) == ("again", 40)
    assert (found.agreed_before.value, found.agreed_after.value) == (0.5, 31 / 40)
    assert (found.followed.value, found.left.value) == (0.75, 0.2)
    assert (found.seconds_before.value, found.seconds_after.value) == (50, 20)


def test_agreement_between_people_is_told_of_both_looks(store: Database) -> None:
    generator = np.random.default_rng(0)
    add_project(store, project("first", "comparisons"))
    add_project(store, project("again", "comparisons", reviews="first"))
    before: list[StoredSample] = []
    after: list[StoredSample] = []
    own: list[Annotation] = []
    then: list[Annotation] = []
    for number in range(40):
        content = comparison(generator, number)
        before.append(stored("comparisons", content, (0, 1)))
        after.append(stored("comparisons", content | {"opinion": "a"}, (0, 1)))
        people = ("ann", "bob") if number < 30 else ("ann",)
        for who in people:
            first = "b" if who == "bob" and number % 2 else "a"
            second = "b" if who == "bob" and number % 6 == 1 else "a"
            own.append(annotation(len(own), before[-1].id, who, {"choice": first, "margin": 0.0}))
            then.append(annotation(1000 + len(then), after[-1].id, who, {"choice": second, "margin": 0.0}))
        # cid looked once only, and is in neither figure
        own.append(annotation(len(own), before[-1].id, "cid", {"choice": "both_bad", "margin": None}))
    _put(store, "first", before, own)
    _put(store, "again", after, then)

    (found,) = second_look(store, "first")

    assert found.pairs == 70
    assert (found.alike_before.value, found.alike_before.count) == (0.5, 30)
    assert (found.alike_after.value, found.alike_after.count) == (pytest.approx(25 / 30), 30)


def test_of_a_second_look_the_same_persons_newest_counts(store: Database) -> None:
    content = comparison(np.random.default_rng(0), 0)
    add_project(store, project("first", "comparisons"))
    add_project(store, project("again", "comparisons", reviews="first"))
    own, asked = stored("comparisons", content, (0, 1)), stored("comparisons", content | {"opinion": "a"}, (0, 1))
    _put(store, "first", [own], [annotation(0, own.id, "ann", {"choice": "b", "margin": 0.0})])
    again = [annotation(n, asked.id, "ann", {"choice": said, "margin": 0.0}) for n, said in ((1, "b"), (2, "a"))]
    _put(store, "again", [asked], again)

    (found,) = second_look(store, "first")

    assert (found.pairs, found.agreed_after.value) == (1, 1)
    assert found.alike_after.count == 0


def test_where_all_had_the_same_help_there_is_nothing_to_compare(store: Database) -> None:
    add_project(store, project("choices", "comparisons"))
    sample = stored("comparisons", comparison(np.random.default_rng(0), 0), (0, 1))
    _put(store, "choices", [sample], [annotation(0, sample.id, "ann", {"choice": "a", "margin": 1.0})])

    assert helped(store, "choices") == []
    assert second_look(store, "choices") == []


def test_the_median_is_resampled_as_if_one_by_one() -> None:
    generator = np.random.default_rng(0)
    values = generator.lognormal(4, 0.5, 201)
    one_by_one = [np.median(values[generator.integers(201, size=201)]) for _ in range(2000)]

    found = median(values)

    assert found.value == np.median(values)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(one_by_one, (0.025, 0.975))), rel=0.03)


def _put(store: Database, name: str, samples: list, labels: list[Annotation]) -> None:
    add_samples(store, name, samples)
    with store.write() as session:
        put_annotations(session, name, labels)
