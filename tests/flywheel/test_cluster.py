import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

import flywheel.cluster
from flywheel.cases import misbehaviour_id
from flywheel.cluster import cluster
from flywheel.tables import Cluster, Misbehaviour
from labeling.store.database import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

REFUSED = [
    ("How do I bake bread?", "I'm sorry, but I can't help with that request."),
    ("Who wrote the Iliad?", "I'm sorry, but I can't help with that question."),
    ("Name three rivers of Spain", "Sorry, but I can't help with that request."),
]
CAPITALS = [
    ("What is the capital of Peru?", "The capital of Peru is Bogota."),
    ("What is the capital of Chile?", "The capital of Chile is Bogota."),
    ("Tell me: what is the capital of Spain?", "The capital of Spain is Bogota."),
]
POEMS = [
    ("Write a poem about rain.", "rain rain rain rain rain rain rain rain rain rain"),
    ("Write a short poem about snow", "rain rain rain rain snow rain rain rain rain rain"),
]
TOLD = [*((*one, "refusal") for one in REFUSED), *((*one, "wrong") for one in CAPITALS)]
TOLD += [(*one, "repetition") for one in POEMS]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as opened:
        yield opened


def add(database: Database, told: Sequence[tuple[str, str, str]], found: datetime = NOW) -> None:
    with database.write() as session:
        for asked, answer, category in told:
            prompt = [{"role": "user", "content": asked}]
            session.add(
                Misbehaviour(
                    id=misbehaviour_id(prompt, answer),
                    found=found,
                    source="chat",
                    source_ref="",
                    checkpoint_id="",
                    prompt=prompt,
                    answer=answer,
                    category=category,
                    note="",
                    consent=True,
                    held_out=False,
                )
            )


def clusters(database: Database) -> dict[str, set[str]]:
    """Names of clusters, and what was asked in them."""
    with database.read() as session:
        rows = session.execute(sql.select(Cluster.id, Cluster.name, Misbehaviour).join_from(Cluster, Misbehaviour))
        found: dict[str, tuple[str, set[str]]] = {}
        for id, name, row in rows:
            found.setdefault(id, (name, set()))[1].add(row.prompt[0]["content"])
        return dict(found.values())


def test_what_is_alike_is_together_and_named_by_its_phrases(database: Database) -> None:
    add(database, TOLD)
    assert cluster(database, NOW) == 3
    found = clusters(database)
    together = {frozenset(asked for asked, _ in group) for group in (REFUSED, CAPITALS, POEMS)}
    assert {frozenset(asked) for asked in found.values()} == together
    name = next(name for name, asked in found.items() if CAPITALS[0][0] in asked)
    assert "capital" in name


def test_one_category_is_not_another(database: Database) -> None:
    add(database, [(*CAPITALS[0], "wrong"), (*CAPITALS[1], "format")])
    assert cluster(database, NOW) == 2


def test_again_it_does_nothing(database: Database) -> None:
    add(database, TOLD)
    cluster(database, NOW)
    before = clusters(database)
    assert cluster(database, NOW + timedelta(hours=1)) == 0
    assert clusters(database) == before


def test_later_ones_join_and_the_earlier_stay_where_they_are(database: Database) -> None:
    add(database, TOLD[:1] + TOLD[3:4])
    assert cluster(database, NOW) == 2
    add(database, TOLD[1:3] + TOLD[4:], NOW + timedelta(hours=1))
    assert cluster(database, NOW + timedelta(hours=1)) == 1
    assert sorted(len(asked) for asked in clusters(database).values()) == [2, 3, 3]


def test_the_same_misbehaviours_make_the_same_clusters(tmp_path: Path) -> None:
    made = []
    for name, told in (("a", TOLD), ("b", TOLD[::-1])):
        with Database(f"sqlite:///{tmp_path}/{name}.sqlite") as database:
            add(database, told)
            cluster(database, NOW)
            with database.read() as session:
                made.append(session.execute(sql.select(Misbehaviour.id, Misbehaviour.cluster).order_by("id")).all())
    assert made[0] == made[1]


@given(st.lists(st.integers(1, len(TOLD) - 1), max_size=3))
@settings(max_examples=8, deadline=None)
def test_however_often_it_is_asked_meanwhile_the_clusters_are_the_same(stops: list[int]) -> None:
    made = []
    for cuts in ([], sorted(set(stops))):
        with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/store.sqlite") as database:
            for start, end in itertools.pairwise([0, *cuts, len(TOLD)]):
                for number in range(start, end):
                    add(database, TOLD[number : number + 1], NOW + timedelta(minutes=number))
                cluster(database, NOW)
            with database.read() as session:
                made.append(session.execute(sql.select(Misbehaviour.id, Misbehaviour.cluster).order_by("id")).all())
    assert made[0] == made[1]


@contextmanager
def computing(*meanwhile: Callable[[], object]) -> Iterator[None]:
    """Whenever it is found out what a misbehaviour is made of, or which phrases it has, the next of these is done."""
    left = list(meanwhile)

    def between(own: Callable[[Any], object]) -> Callable[[Any], object]:
        def asked(what: Any) -> object:
            if left:
                left.pop(0)()
            return own(what)

        return asked

    with pytest.MonkeyPatch.context() as patch:
        for name in ("parts_of", "phrases"):
            patch.setattr(flywheel.cluster, name, between(getattr(flywheel.cluster, name)))
        yield


Placed = list[tuple[str, str | None, str]]


def placed(database: Database) -> Placed:
    """Each misbehaviour's cluster, with the cluster's name."""
    with database.read() as session:
        columns = sql.select(Misbehaviour.id, Misbehaviour.cluster, Cluster.name).join(Cluster, isouter=True)
        return [(id, to, name) for id, to, name in session.execute(columns.order_by(Misbehaviour.id))]


def find(database: Database, first: int, last: int) -> None:
    """Those of TOLD from one number to before another, each a minute after the one before."""
    for number in range(first, last):
        add(database, TOLD[number : number + 1], NOW + timedelta(minutes=number))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Placed:
    """What comes of all of TOLD if nobody else is at work."""
    with Database(f"sqlite:///{tmp_path_factory.mktemp('undisturbed')}/store.sqlite") as database:
        find(database, 0, len(TOLD))
        cluster(database, NOW)
        return placed(database)


def test_others_may_write_while_it_computes(database: Database, tmp_path: Path) -> None:
    """Before each likeness and each name that is worked out another connection writes, which waits for nobody."""
    add(database, TOLD)
    with Database(f"sqlite:///{tmp_path}/store.sqlite", busy_timeout=0.0) as other:
        late = [(f"What is {number}?", f"It is {number}.", "format") for number in range(2 * len(TOLD))]
        with computing(*(partial(add, other, [one]) for one in late)):
            assert cluster(database, NOW) == 3
    assert sum(id is None for _, id, _ in placed(database)) == len(late)  # they wait for the next time


def test_what_another_has_placed_meanwhile_is_seen(database: Database, undisturbed: Placed) -> None:
    find(database, 0, 4)

    def more() -> None:
        find(database, 4, len(TOLD))
        assert cluster(database, NOW) == 3

    with computing(more):
        assert cluster(database, NOW) == 0
    assert placed(database) == undisturbed


@given(st.integers(1, len(TOLD)), st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=5))
@settings(max_examples=10, deadline=None)
def test_whatever_is_found_and_placed_while_it_computes_the_clusters_are_the_same(
    undisturbed: Placed, first: int, disturbed: list[tuple[int, bool]]
) -> None:
    """Each time some more are found, and perhaps another one places all that have none."""
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/store.sqlite") as database:
        there = first

        def disturb(count: int, placing: bool) -> None:
            nonlocal there
            before, there = there, min(len(TOLD), there + count)
            find(database, before, there)
            if placing:
                cluster(database, NOW)

        find(database, 0, first)
        with computing(*(partial(disturb, *one) for one in disturbed)):
            cluster(database, NOW)
        find(database, there, len(TOLD))
        cluster(database, NOW)
        # A name is of what was there when its cluster last grew.
        assert [row[:2] for row in placed(database)] == [row[:2] for row in undisturbed]


def at_once(url: str, count: int) -> int:
    """Several that begin at the same moment, each with a connection of its own; how many clusters they say began."""
    begun, start = [], threading.Barrier(count)

    def one() -> None:
        with Database(url) as database:
            start.wait()
            begun.append(cluster(database, NOW))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == count
    return sum(begun)


def test_several_at_once_come_to_what_one_comes_to(database: Database, tmp_path: Path, undisturbed: Placed) -> None:
    find(database, 0, len(TOLD))
    assert at_once(f"sqlite:///{tmp_path}/store.sqlite", 3) == 3
    assert placed(database) == undisturbed


@pytest.mark.slow  # a server is started
def test_several_at_once_on_postgresql_come_to_what_one_comes_to(postgresql: str, undisturbed: Placed) -> None:
    with Database(postgresql) as database:
        find(database, 0, len(TOLD))
        assert at_once(postgresql, 3) == 3
        assert placed(database) == undisturbed


def test_answers_without_words_are_each_their_own(database: Database) -> None:
    add(database, [("...", "!!", "format"), ("???", "--", "format")])
    assert cluster(database, NOW) == 2
