import itertools
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql
from hypothesis import given, settings
from hypothesis import strategies as st

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


def test_answers_without_words_are_each_their_own(database: Database) -> None:
    add(database, [("...", "!!", "format"), ("???", "--", "format")])
    assert cluster(database, NOW) == 2
