"""Tasks: references and orders that nobody can guess, batches that are not too large."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labeling.kinds import KINDS
from labeling.store.labels import Project, StoredSample
from labeling.tasks import chunks, make_task, reference, shuffle

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def project(secret: str = "s") -> Project:
    return Project("p", "demonstrations", None, "http://127.0.0.1", 1, "", "", 1, 1, NOW, secret)


def sample(id: str, **values: Any) -> StoredSample:
    content = {"messages": [{"role": "user", "content": "Why?"}]}
    given: dict[str, Any] = {"content": content, "order": (), "gold": None, "draft": None, "draft_model": None}
    return StoredSample(id, **given | values, priority=0.0, provenance={}, added=NOW)


def test_a_reference_says_nothing_without_the_secret() -> None:
    assert reference(project(), "a") == reference(project(), "a")
    assert len({reference(project(secret), id) for secret in "st" for id in "ab"}) == 4
    assert len(reference(project(), "a")) == 16


def test_all_orders_are_as_likely() -> None:
    orders = Counter(shuffle(project(), str(number), 3) for number in range(3000))
    assert len(orders) == 6
    assert 400 < min(orders.values()) <= max(orders.values()) < 600


def test_an_order_is_the_same_each_time_and_another_with_another_secret() -> None:
    assert [shuffle(project(), str(number), 9) for number in range(9)] == [
        shuffle(project(), str(number), 9) for number in range(9)
    ]
    assert shuffle(project("s"), "a", 9) != shuffle(project("t"), "a", 9)
    assert shuffle(project(), "a", 0) == ()


def test_a_draft_fills_the_box_and_its_model_is_not_named() -> None:
    kind = KINDS["demonstrations"]
    task = make_task(project(), kind, sample("a", draft="Because.", draft_model="large-v3"))
    assert "Because." in json.dumps(task["predictions"])
    assert "large" not in json.dumps(task)
    assert "predictions" not in make_task(project(), kind, sample("a"))


@given(lengths=st.lists(st.integers(0, 50), max_size=40), most=st.integers(1, 7), limit=st.integers(1, 200))
def test_batches_keep_the_order_and_are_as_large_as_they_may_be(lengths: list[int], most: int, limit: int) -> None:
    pairs = [(sample(str(number)), {"t": "x" * length}) for number, length in enumerate(lengths)]
    found = list(chunks(pairs, most, limit))
    assert [pair for chunk in found for pair in chunk] == pairs
    for chunk in found:
        assert 1 <= len(chunk) <= most
        assert len(chunk) == 1 or sum(len(json.dumps(task)) for _, task in chunk) <= limit
    for chunk, following in pairwise(found):
        size = sum(len(json.dumps(task)) for _, task in (*chunk, following[0]))
        assert len(chunk) == most or size > limit
