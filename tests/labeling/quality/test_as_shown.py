"""What was left as it was shown is counted of one person and of all, beside what chance would leave."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.quality.as_shown import AsShown, as_shown
from labeling.quality.people import people
from labeling.quality.quality import measure_quality
from labeling.quality.simulate import Simulated, annotation, project, rankings, stored
from labeling.quality.table import Table, _Reader
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, put_annotations

LABEL = st.tuples(
    st.permutations([0, 1, 2]) | st.permutations([0, 1]),  # where the answers stand
    st.booleans(),  # left so
    st.none() | st.sampled_from([0.1, 500.0]),  # seconds
)


def table(labels: list[tuple[list[int], bool, float | None]]) -> Table:
    """Each label of a sample of its own; an order that was changed has the last answer on top."""
    reader = _Reader("rankings")
    for number, (order, left, seconds) in enumerate(labels):
        content = {"prompt": [], "answers": [{"text": f"answer {number} {one}"} for one in order]}
        chosen = order if left else order[::-1]
        ranks = [chosen.index(answer) + 1 for answer in range(len(order))]
        sample = stored("rankings", content, tuple(order))
        reader.take(sample, [annotation(number, sample.id, "ann", {"ranks": ranks}, seconds)])
    return reader.table()


@given(st.lists(LABEL, min_size=1, max_size=12))
def test_each_rate_is_the_count_of_its_labels(labels: list[tuple[list[int], bool, float | None]]) -> None:
    found = as_shown(table(labels), np.arange(len(labels)))

    left = [kept for _, kept, _ in labels]
    timed = [(kept, seconds) for _, kept, seconds in labels if seconds is not None]
    assert (found.order.count, found.order.value) == (len(labels), pytest.approx(sum(left) / len(labels)))
    assert found.first.value == found.order.value
    assert found.order_fast.count == len(timed)
    if timed:
        fast = sum(kept and seconds < 1 for kept, seconds in timed)
        assert found.order_fast.value == pytest.approx(fast / len(timed))
    assert found.first_chance == pytest.approx(np.mean([1 / len(order) for order, _, _ in labels]))
    assert found.order_chance == pytest.approx(np.mean([1 / math.factorial(len(order)) for order, _, _ in labels]))


def test_where_no_time_is_known_the_fast_ones_are_unknown_and_not_none(store: Database) -> None:
    rankings(store, [Simulated("ann", untouched=1.0, seconds=None)], samples=30, overlap=1)

    found = people(store, "orders")["ann"].as_shown

    assert found.order.value == 1
    assert math.isnan(found.order_fast.value)


def test_the_project_is_all_its_people(store: Database) -> None:
    everybody = [Simulated("ann", 0.9), Simulated("bob", 0.8, untouched=0.7), Simulated("cid", 0.7, seconds=None)]
    rankings(store, everybody, samples=90, overlap=2)

    found = measure_quality(store, "orders")

    for name in ("first", "order", "order_fast"):
        each = [getattr(person.as_shown, name) for person in found.people]
        total = getattr(found.as_shown, name)
        assert total.count == sum(one.count for one in each)
        assert total.value * total.count == pytest.approx(sum(one.value * one.count for one in each if one.count))


def test_drafts_are_counted_of_the_whole_project_and_of_each_person(store: Database) -> None:
    add_project(store, project("answers", "demonstrations", 1))
    samples, labels = [], []
    for number in range(40):
        content = {"messages": [{"role": "user", "content": f"Question {number}?"}]}
        samples.append(stored("demonstrations", content, draft="A draft.", draft_model="m"))
        who, kept = ("ann", number % 4 == 0) if number < 20 else ("bob", True)
        seconds = None if number >= 30 else 0.2 if number % 8 == 0 else 60.0
        distance = 0.0 if kept else 0.5
        labels.append(annotation(number, samples[-1].id, who, {"answer": "A."}, seconds, draft_distance=distance))
    add_samples(store, "answers", samples)
    with store.write() as session:
        put_annotations(session, "answers", labels)

    found = measure_quality(store, "answers")

    assert (found.as_shown.draft.value, found.as_shown.draft.count) == (25 / 40, 40)
    assert (found.as_shown.draft_fast.value, found.as_shown.draft_fast.count) == (pytest.approx(4 / 30), 30)
    assert [person.as_shown.draft.value for person in found.people if person.name == "bob"] == [1]
    assert isinstance(found.as_shown, AsShown)
    assert math.isnan(found.as_shown.order_chance)
