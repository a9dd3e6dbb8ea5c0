"""Projects, samples, annotators and annotations: what is stored comes back, once, and the same on both databases."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import pytest
import sqlalchemy as sql
from hypothesis import given
from hypothesis import strategies as st

from labeling.store.database import Database, StoreError
from labeling.store.labels import (
    Annotation,
    Project,
    StoredSample,
    add_project,
    add_samples,
    annotations_of_tasks,
    get_project,
    projects,
    pseudonym,
    put_annotations,
    read_annotations,
    read_samples,
    samples_of_tasks,
    update_project,
)
from labeling.store.sending import (
    claim,
    in_doubt,
    known_samples,
    noted_tasks,
    release,
    set_deleted,
    set_drafts,
    set_tasks,
    unsent,
    unsent_gold,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def project(name: str = "answers", **values: Any) -> Project:
    given: dict[str, Any] = {
        "name": name,
        "kind": "demonstrations",
        "reviews": None,
        "server": "http://127.0.0.1:8080",
        "remote_id": 7,
        "config": "<View/>",
        "instructions": "<p>Be helpful.</p>",
        "instruction_version": 1,
        "overlap": 2,
        "created": NOON,
    }
    return Project(**given | values)


def sample(id: str, **values: Any) -> StoredSample:
    given: dict[str, Any] = {
        "content": {"messages": [{"role": "user", "content": "2 + 2? 😀 \u202e"}]},
        "order": (1, 0),
        "gold": None,
        "draft": None,
        "draft_model": None,
        "priority": 0.0,
        "provenance": {"file": "a.jsonl", "line": 3},
        "added": NOON,
    }
    return StoredSample(id, **given | values)


def annotation(id: int, task: int = 1, **values: Any) -> Annotation:
    given: dict[str, Any] = {
        "sample": "s1",
        "annotator": "annotator-1",
        "result": [{"type": "textarea", "value": {"text": ["4"]}}],
        "verdict": {"answer": "4"},
        "reason": None,
        "seconds": 12.5,
        "draft_distance": None,
        "instruction_version": 1,
        "created": NOON,
        "updated": NOON,
        "seen": NOON,
    }
    return Annotation(id, task, **given | values)


@pytest.fixture
def filled(database: Database) -> Database:
    """A project `answers` with the samples s1, s2 and s3, none of them sent."""
    add_project(database, project())
    assert add_samples(database, "answers", [sample("s1"), sample("s2"), sample("s3")]) == 3
    return database


def samples(database: Database, name: str = "answers") -> dict[str, StoredSample]:
    with database.read() as session:
        return {one.id: one for one in read_samples(session, name)}


def ids(found: Sequence[StoredSample]) -> list[str]:
    return [one.id for one in found]


# Projects


def test_a_project_comes_back_as_it_went_in(database: Database) -> None:
    one = project(reviews="other")
    add_project(database, one)
    assert get_project(database, "answers") == one
    assert projects(database) == [one]


def test_each_project_has_a_secret_of_its_own_that_is_not_shown() -> None:
    first, second = project(), project()
    assert first.secret != second.secret
    assert first.secret not in repr(first)


def test_a_name_is_taken_once(database: Database) -> None:
    add_project(database, project())
    with pytest.raises(ValueError, match="there is a project answers already"):
        add_project(database, project(kind="comparisons"))
    assert get_project(database, "answers").kind == "demonstrations"


def test_a_project_that_is_not_there_is_told_with_those_that_are(database: Database) -> None:
    with pytest.raises(KeyError, match="no project x; there is none yet"):
        get_project(database, "x")
    add_project(database, project("b"))
    add_project(database, project("a"))
    with pytest.raises(KeyError, match="no project x; there are a, b"):
        get_project(database, "x")


def test_a_project_can_be_changed(database: Database) -> None:
    add_project(database, project())
    add_project(database, project("other"))
    update_project(database, "answers", cursor="c", reconciled=NOON)
    assert get_project(database, "answers").cursor == "c"
    assert get_project(database, "answers").reconciled == NOON
    assert get_project(database, "other").cursor is None


def test_a_change_of_a_project_that_is_not_there_is_refused(database: Database) -> None:
    with pytest.raises(KeyError, match="no project answers"):
        update_project(database, "answers", cursor="c")


# Samples


def test_a_sample_comes_back_as_it_went_in(database: Database) -> None:
    add_project(database, project())
    one = sample("s1", gold={"answer": "4"}, priority=0.1, draft="5", draft_model="m", sent=NOON, task_id=3)
    add_samples(database, "answers", [one])
    assert samples(database) == {"s1": one}


def test_the_same_sample_is_stored_once_and_the_first_stays(filled: Database) -> None:
    again = [sample("s1", priority=9.0), sample("s4"), sample("s4")]
    assert add_samples(filled, "answers", again) == 1
    assert samples(filled)["s1"].priority == 0
    assert known_samples(filled, "answers", ["s1", "s4", "s5"]) == {"s1", "s4"}


def test_two_projects_may_have_the_same_sample(filled: Database) -> None:
    add_project(filled, project("other"))
    assert known_samples(filled, "other", ["s1"]) == set()
    assert add_samples(filled, "other", [sample("s1")]) == 1


def test_a_sample_without_a_project_is_refused(database: Database) -> None:
    with pytest.raises(StoreError, match="(?i)foreign key"):
        add_samples(database, "nowhere", [sample("s1")])


def test_more_samples_than_one_statement_takes_are_stored_in_one_transaction(database: Database) -> None:
    add_project(database, project())
    many = [sample(f"s{number:05}") for number in range(2500)]
    with pytest.raises(StoreError):
        add_samples(database, "answers", [*many, replace(many[0], id="x", priority=None)])  # type: ignore[arg-type]
    assert samples(database) == {}
    assert add_samples(database, "answers", many) == 2500
    assert list(samples(database)) == ids(many)


def test_the_greatest_priority_is_sent_first_and_gold_is_kept_apart(database: Database) -> None:
    add_project(database, project())
    gold = {"answer": "4"}
    given = [
        sample("low"),
        sample("high", priority=2.0),
        sample("gold", priority=9.0, gold=gold),
        sample("mid", priority=1.0),
    ]
    add_samples(database, "answers", given)
    assert ids(unsent(database, "answers")) == ["high", "mid", "low"]
    assert ids(unsent(database, "answers", 2)) == ["high", "mid"]
    assert ids(unsent_gold(database, "answers")) == ["gold"]
    claim(database, "answers", ["high", "gold"])
    assert ids(unsent(database, "answers")) == ["mid", "low"]
    assert unsent_gold(database, "answers") == []


def test_what_is_to_be_sent_is_found_by_an_index(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL's planner decides by the tables' sizes")
    query = (
        "EXPLAIN QUERY PLAN SELECT * FROM label_samples WHERE project = 'p' AND sent IS NULL AND gold IS NULL "
        "ORDER BY priority DESC, id DESC LIMIT 9"
    )
    with database.read() as session:
        plan = " ".join(row.detail for row in session.execute(sql.text(query)))
    assert "ix_label_samples_unsent" in plan
    assert "TEMP B-TREE" not in plan


def test_a_draft_is_kept_with_its_model(filled: Database) -> None:
    set_drafts(filled, "answers", {"s1": ("4", "small"), "s3": ("five", "large")})
    found = samples(filled)
    assert [(one.draft, one.draft_model) for one in found.values()] == [("4", "small"), (None, None), ("five", "large")]
    set_drafts(filled, "answers", {})
    assert samples(filled) == found


def test_what_is_claimed_is_in_doubt_until_its_task_is_known(filled: Database) -> None:
    before = datetime.now(UTC)
    assert claim(filled, "answers", ["s1", "s2"]) == {"s1", "s2"}
    assert in_doubt(filled, "answers").keys() == {"s1", "s2"}
    assert all(before <= sent <= datetime.now(UTC) for sent in in_doubt(filled, "answers").values())
    set_tasks(filled, "answers", {"s1": 11})
    assert in_doubt(filled, "answers").keys() == {"s2"}
    release(filled, "answers", ["s1", "s2"])
    assert in_doubt(filled, "answers") == {}
    assert ids(unsent(filled, "answers")) == ["s3", "s2"]  # s1 has arrived, and is not let go
    assert len(noted_tasks(filled, "answers")) == 1


def test_two_pushes_never_claim_the_same(filled: Database) -> None:
    wanted = [f"t{number:03}" for number in range(200)]
    add_samples(filled, "answers", [sample(id) for id in wanted])
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: claim(filled, "answers", wanted), range(8)))
    assert sorted(id for some in got for id in some) == wanted


def test_samples_are_found_by_their_tasks(filled: Database) -> None:
    add_project(filled, project("other"))
    add_samples(filled, "other", [sample("o1", task_id=11)])
    set_tasks(filled, "answers", {"s1": 11, "s2": 12})
    with filled.read() as session:
        found = samples_of_tasks(session, "answers", [11, 12, 13])
        assert {task: one.id for task, one in found.items()} == {11: "s1", 12: "s2"}


def test_a_tasks_number_that_is_given_anew_belongs_to_the_newer_sample(filled: Database) -> None:
    set_tasks(filled, "answers", {"s1": 11, "s2": 12})
    set_tasks(filled, "answers", {"s3": 12})  # somebody deleted task 12, the last
    with filled.read() as session:
        assert samples_of_tasks(session, "answers", [12])[12].id == "s3"
    lost = samples(filled)["s2"]
    assert lost.task_id is None
    assert lost.deleted is not None
    assert in_doubt(filled, "answers") == {}


def test_noting_the_same_tasks_again_changes_nothing(filled: Database) -> None:
    set_tasks(filled, "answers", {"s1": 11, "s2": 12})
    before = samples(filled)
    set_tasks(filled, "answers", {"s1": 11, "s2": 12})
    assert samples(filled) == before


def test_what_was_deleted_in_the_page_is_noted_once_and_not_sent_again(filled: Database) -> None:
    claim(filled, "answers", ["s1", "s2"])
    set_tasks(filled, "answers", {"s1": 11, "s2": 12})
    assert set_deleted(filled, "answers", {11, 99}) == 1
    assert set_deleted(filled, "answers", {11, 99}) == 0
    assert samples(filled)["s1"].deleted is not None
    assert ids(unsent(filled, "answers")) == ["s3"]
    assert in_doubt(filled, "answers") == {}
    assert noted_tasks(filled, "answers") == {12}


def test_a_full_disk_leaves_all_or_nothing(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/store.db") as database:
        add_project(database, project())
        connection = database.engine.connect()
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar() or 0
        connection.close()

        def limit(connection: Any, record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages + 30}")

        sql.event.listen(database.engine, "connect", limit)
        database.engine.dispose()
        large = [sample(f"s{number}", content={"text": "x" * 5000}) for number in range(100)]
        with pytest.raises(StoreError, match="full; make room"):
            add_samples(database, "answers", large)
        assert samples(database) == {}
        assert add_samples(database, "answers", large[:5]) == 5


# Annotators and annotations


def test_a_person_keeps_the_first_name_and_has_one_for_each_server(database: Database) -> None:
    with database.write() as session:
        assert pseudonym(session, "http://a", 1, "annotator-x") == "annotator-x"
        assert pseudonym(session, "http://a", 1, "annotator-y") == "annotator-x"
        assert pseudonym(session, "http://b", 1, "annotator-z") == "annotator-z"
    with database.write() as session:
        assert pseudonym(session, "http://a", 1, "annotator-y") == "annotator-x"


def test_whoever_two_pulls_name_at_once_has_one_name(database: Database) -> None:
    both = Barrier(2)

    def name(new: str) -> str:
        both.wait()
        with database.write() as session:
            found = pseudonym(session, "http://a", 1, new)
            sleep(0.2)  # PostgreSQL's second transaction now meets the first one's row, not yet committed
            return found

    with ThreadPoolExecutor(2) as threads:
        assert len(set(threads.map(name, ["annotator-x", "annotator-y"]))) == 1


def test_two_people_never_have_one_name(database: Database) -> None:
    with pytest.raises(StoreError), database.write() as session:
        pseudonym(session, "http://a", 1, "annotator-x")
        pseudonym(session, "http://a", 2, "annotator-x")


def test_an_annotation_is_stored_in_the_place_of_its_earlier_state(filled: Database) -> None:
    first, second = annotation(1), annotation(2, sample=None, verdict=None, reason="skipped", seconds=None)
    with filled.write() as session:
        put_annotations(session, "answers", [first, second])
    newer = replace(first, verdict=None, reason="deleted", updated=NOON + timedelta(seconds=1))
    with filled.write() as session:
        put_annotations(session, "answers", [newer])
        put_annotations(session, "answers", [])
    with filled.read() as session:
        assert {one.remote_id: one for one in read_annotations(session, "answers")} == {1: newer, 2: second}


def test_no_verdict_is_null_and_not_the_json_null(filled: Database) -> None:
    with filled.write() as session:
        put_annotations(session, "answers", [annotation(1, verdict=None, reason="skipped")])
    with filled.read() as session:
        query = "SELECT count(*) FROM label_annotations WHERE verdict IS NULL"
        assert session.scalar(sql.text(query)) == 1
        assert session.scalar(sql.text("SELECT count(*) FROM label_samples WHERE gold IS NULL")) == 3


def test_annotations_are_read_by_sample_and_time(filled: Database) -> None:
    given = [annotation(1, updated=NOON + timedelta(1)), annotation(2), annotation(3, sample="s0")]
    with filled.write() as session:
        put_annotations(session, "answers", given)
    with filled.read() as session:
        assert [one.remote_id for one in read_annotations(session, "answers")] == [3, 2, 1]


def test_annotations_are_found_by_their_tasks(filled: Database) -> None:
    given = [annotation(1, 11), annotation(2, 11), annotation(3, 12)]
    with filled.write() as session:
        put_annotations(session, "answers", given)
    with filled.read() as session:
        assert annotations_of_tasks(session, "answers", [11, 13]) == {1: given[0], 2: given[1]}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "claim", "note", "release", "vanish"]), st.sets(st.integers(0, 5))),
        max_size=12,
    )
)
def test_whatever_pushes_do_a_sample_that_arrived_is_never_sent_again(steps: list[tuple[str, set[int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Database(f"sqlite:///{folder}/store.db") as database:
        add_project(database, project())
        arrived: set[str] = set()
        for step, numbers in steps:
            chosen = {f"s{number}" for number in numbers}
            if step == "add":
                add_samples(database, "answers", [sample(id) for id in sorted(chosen)])
            elif step == "claim":
                assert not claim(database, "answers", chosen) & arrived
            elif step == "note":
                noted = {id: int(id[1:]) for id in chosen & in_doubt(database, "answers").keys()}
                if noted:
                    set_tasks(database, "answers", noted)
                arrived |= noted.keys()
            elif step == "release":
                release(database, "answers", chosen)
            else:
                set_deleted(database, "answers", {int(id[1:]) for id in chosen})
            assert not arrived & set(ids(unsent(database, "answers")))
            assert not arrived & in_doubt(database, "answers").keys()
