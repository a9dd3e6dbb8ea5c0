"""Samples become tasks of a real server, each once, and tell nothing that labellers must not know."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import labeling.push
from labeling.client import Client
from labeling.kinds import KINDS
from labeling.kinds.demonstrations import Demonstrations
from labeling.kinds.kind import Json, Order
from labeling.pull import pull
from labeling.push import Pushed, PushError, push
from labeling.rows import Rejected
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import get_project
from labeling.store.sending import noted_tasks
from tests.labeling.conftest import LabelStudio
from tests.labeling.crowd import annotate
from tests.labeling.push.conftest import Make, check, comparison, question, questions, stored, tasks

pytestmark = pytest.mark.slow

RIGHT: Json = {"choice": "a", "margin": 1.0}


# The plain way


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_every_sample_becomes_one_task_and_a_second_push_sends_nothing(
    backend: str, store: str, client: Client, make: Make, request: pytest.FixtureRequest
) -> None:
    url = store if backend == "sqlite" else str(request.getfixturevalue("postgresql"))
    with Database(url) as database:
        project = make(database)
        assert push(database, client, "p", questions(30)) == Pushed(pushed=30)
        check(client, database, project, 30)
        assert push(database, client, "p", questions(31)) == Pushed(pushed=1, already=30)
        assert push(database, client, "p") == Pushed()
        check(client, database, project, 31)


def test_the_same_sample_twice_in_one_file_is_sent_once(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    assert push(database, client, "p", [question(1), question(2), question(1)]) == Pushed(pushed=2, already=1)
    check(client, database, project, 2)


def test_a_bad_row_costs_itself_alone(database: Database, client: Client, make: Make) -> None:
    make(database)
    bad = Rejected("a.jsonl:2", "messages are missing")
    assert push(database, client, "p", [question(1), bad, question(2)]) == Pushed(pushed=2, rejected=[bad])


def test_progress_is_told(database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(database)
    monkeypatch.setattr(labeling.push, "TASKS", 10)
    told: list[tuple[int, int]] = []
    push(database, client, "p", questions(25), progress=lambda done, of: told.append((done, of)))
    assert told == [(10, 25), (20, 25), (25, 25)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_task_tells_nothing_that_labellers_must_not_know(
    kind: str, database: Database, client: Client, make: Make
) -> None:
    rows: dict[str, Json] = {
        "demonstrations": {"messages": "Why?"},
        "comparisons": {
            "prompt": "Why?",
            "answers": [{"text": "a", "model": "model-r"}, {"text": "b"}],
            "opinion": "a",
        },
        "rankings": {"prompt": "Why?", "answers": [{"text": text, "model": "model-r"} for text in "abc"]},
        "corrections": {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]},
        "ratings": {"prompt": "Why?", "answer": {"text": "Because.", "model": "model-r"}},
        "poison-review": {"id": "d0", "url": "https://example.com", "text": "Buy now.", "findings": []},
    }
    project = make(database, kind)
    sample = make_sample(KINDS[kind], rows[kind], {"file": "secret.jsonl", "line": 1})
    push(database, client, "p", [replace(sample, priority=0.123)])
    (task,) = tasks(client, project)
    spelt = json.dumps([task["data"], task["meta"]])
    assert not [word for word in ("model-r", "secret", sample.id[:8], "0.123", "own choice") if word in spelt]
    assert stored(database)[sample.id].provenance["file"] == "secret.jsonl"


def test_answers_are_shown_in_an_order_that_the_store_alone_knows(
    database: Database, client: Client, make: Make
) -> None:
    project = make(database, "comparisons")
    push(database, client, "p", [comparison(number) for number in range(40)])
    check(client, database, project, 40)
    left = Counter(task["data"]["left"].split()[0] for task in tasks(client, project))
    assert min(left.values()) >= 8  # of 40; fewer would be seen once in 20,000 times


def test_gold_is_mixed_in_without_a_rate_and_not_missed_where_there_is_none(
    database: Database, client: Client, make: Make
) -> None:
    make(database, "comparisons")
    assert push(database, client, "p", [comparison(number) for number in range(60)]) == Pushed(pushed=60)
    gold = [comparison(1000 + number, gold=RIGHT) for number in range(3)]
    assert push(database, client, "p", gold) == Pushed(waiting_gold=3)
    found = push(database, client, "p", [comparison(number) for number in range(60, 98)])
    assert (found.pushed, found.gold, found.waiting_gold) in [(40, 2, 1), (39, 1, 2), (41, 3, 0)]


def test_the_greatest_priority_is_the_first_task(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    push(database, client, "p", [question(number, priority=number % 7) for number in range(20)])
    by_task = sorted(stored(database).values(), key=lambda one: one.task_id or 0)
    assert [one.priority for one in by_task] == sorted((number % 7 for number in range(20)), reverse=True)
    first = client._get(f"api/projects/{project.remote_id}/next/")  # what a labeller gets
    assert first["id"] == by_task[0].task_id


def test_hostile_texts_arrive_as_texts(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    texts = ["<script>alert(1)</script>", "\0\x1b[31m\ud83d", "\u202eevil", "{{config}} $prompt", "a" * 150_000]
    rows = [make_sample(KINDS["demonstrations"], {"messages": text}, {}) for text in texts]
    assert push(database, client, "p", rows).pushed == len(texts)
    check(client, database, project, len(texts))


def test_what_is_too_much_for_one_import_goes_in_several(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(database)
    sizes: list[int] = []
    real = client.import_tasks

    def count(project_id: int, tasks: list[Json]) -> list[int]:
        sizes.append(len(json.dumps(tasks)))
        return real(project_id, tasks)

    monkeypatch.setattr(client, "import_tasks", count)
    rows = [make_sample(KINDS["demonstrations"], {"messages": f"{number} " * 60_000}, {}) for number in range(100)]
    assert push(database, client, "p", rows).pushed == 100
    assert len(sizes) > 1
    assert max(sizes) < 8_300_000
    check(client, database, project, 100)


# Gold


def test_gold_is_one_in_ten_and_looks_like_the_others(database: Database, client: Client, make: Make) -> None:
    project = make(database, "comparisons")
    gold = [comparison(1000 + number, gold=RIGHT) for number in range(30)]
    found = push(database, client, "p", [*gold, *(comparison(number) for number in range(180))], gold_rate=0.1)
    assert (found.pushed, found.gold, found.waiting_gold, found.missing_gold) in [(200, 20, 10, 0), (199, 19, 11, 0)]
    by_task = sorted((one for one in stored(database).values() if one.task_id), key=lambda one: one.task_id or 0)
    places = [place for place, one in enumerate(by_task) if one.gold is not None]
    assert max(after - before for before, after in pairwise(places)) <= 20
    known = {one.task_id: one.gold is not None for one in by_task}
    looks: dict[bool, set[str]] = {True: set(), False: set()}
    for task in tasks(client, project):
        fields = {name: type(value).__name__ for name, value in task.items() if name not in ("id",)}
        looks[known[task["id"]]].add(json.dumps([fields, sorted(task["data"]), task["meta"]], sort_keys=True))
    assert looks[True] == looks[False]
    assert len(looks[True]) == 1


def test_gold_that_is_missing_is_told_and_what_is_left_waits(database: Database, client: Client, make: Make) -> None:
    make(database, "comparisons")
    gold = comparison(1000, gold=RIGHT)
    found = push(database, client, "p", [gold, *(comparison(number) for number in range(40))], gold_rate=0.2)
    assert (found.pushed, found.gold) == (41, 1)
    assert found.missing_gold in (9, 10)
    assert push(database, client, "p", [comparison(1001, gold=RIGHT)]).waiting_gold == 1


def test_a_rate_that_is_none_is_refused_before_anything_is_stored(
    database: Database, client: Client, make: Make
) -> None:
    make(database)
    with pytest.raises(ValueError, match="rate of gold questions of 5; expected 0 to 0.5"):
        push(database, client, "p", questions(3), gold_rate=5)
    assert stored(database) == {}


# Hands in the interface


def test_deleted_tasks_are_noticed_once_and_not_sent_again(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    push(database, client, "p", questions(10))
    for task in tasks(client, project)[:3]:
        client.delete_task(task["id"])
    assert push(database, client, "p", questions(10)) == Pushed(already=10, deleted=3)
    assert push(database, client, "p", questions(11)) == Pushed(already=10, pushed=1)
    assert len(tasks(client, project)) == 8


def test_what_another_push_sends_meanwhile_is_not_taken_for_deleted(
    database: Database,
    client: Client,
    make: Make,
    label_studio: LabelStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make(database)
    push(database, client, "p", questions(3))
    client.delete_task(tasks(client, project)[0]["id"])
    listed = client.tasks

    def and_then_more_arrive(*asked: Any, **how: Any) -> Iterator[Json]:
        yield from listed(*asked, **how)
        with label_studio.client() as other:
            assert push(database, other, "p", questions(5)).deleted == 1

    monkeypatch.setattr(client, "tasks", and_then_more_arrive)
    assert push(database, client, "p").deleted == 0
    assert sum(one.deleted is not None for one in stored(database).values()) == 1
    assert noted_tasks(database, "p") == {task["id"] for task in listed(project.remote_id)}


def test_a_number_that_label_studio_gives_again_belongs_to_the_newer_task(
    database: Database, client: Client, make: Make
) -> None:
    project = make(database)
    push(database, client, "p", questions(4))
    last = tasks(client, project)[-1]["id"]
    client.delete_task(last)
    found = push(database, client, "p", questions(5))
    assert (found.pushed, found.deleted) == (1, 1)
    of = {one.task_id: one for one in stored(database).values() if one.task_id}
    assert of.keys() == {task["id"] for task in tasks(client, project)}
    for task in tasks(client, project):
        assert task["data"]["prompt"][-1]["text"] == of[task["id"]].content["messages"][-1]["content"]


def test_a_project_that_is_gone_is_told(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    client.delete_project(project.remote_id)
    with pytest.raises(PushError, match="p: its project .* is gone from .*; somebody deleted it"):
        push(database, client, "p", questions(3))


def test_a_changed_interface_that_needs_other_fields_is_told(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    other = '<View><Text name="prompt" value="$picture"/><TextArea name="answer" toName="prompt"/></View>'
    client.update_project(project.remote_id, label_config=other)
    with pytest.raises(PushError, match="refused the first 8 tasks.*interface changed by hand"):
        push(database, client, "p", questions(30))
    client.update_project(project.remote_id, label_config=project.config)
    assert push(database, client, "p", questions(30)) == Pushed(already=30, pushed=30)


# A store that was restored from a backup


def file_of(database: Database) -> Path:
    return Path(str(database.engine.url.database))


@contextmanager
def forgetting(database: Database) -> Iterator[None]:
    """The store is afterwards as it was before: it is restored from a backup."""
    copy = file_of(database).with_suffix(".backup")
    with closing(sqlite3.connect(file_of(database))) as store, closing(sqlite3.connect(copy)) as backup:
        store.backup(backup)
    yield
    database.engine.dispose()
    for left in file_of(database).parent.glob(f"{file_of(database).name}-*"):
        left.unlink()
    copy.replace(file_of(database))


@pytest.mark.parametrize("before", [3, 0])
def test_what_was_sent_after_the_backup_is_known_again_and_its_labels_come(
    before: int, database: Database, client: Client, make: Make
) -> None:
    project = make(database)
    push(database, client, "p", questions(before))
    pull(database, client, "p")
    with forgetting(database):
        push(database, client, "p", questions(5))
        asked = stored(database)[question(4).id]
        annotate(client, KINDS["demonstrations"], asked, {"answer": "8", "refusal": "none"})
    told: list[str] = []
    again = push(database, client, "p", questions(5), say=told.append)
    assert again == Pushed(already=before, arrived=5 - before)
    assert told == [
        f"{5 - before} tasks had been sent that the store did not know of, as after its restoration from a backup; "
        "they are not sent again"
    ]
    check(client, database, project, 5)
    found = pull(database, client, "p")
    assert (found.new, found.reasons) == (1, {})
    assert push(database, client, "p", questions(6)) == Pushed(already=5, pushed=1)
    check(client, database, project, 6)


def test_gold_that_was_sent_after_the_backup_is_not_sent_again(database: Database, client: Client, make: Make) -> None:
    project = make(database, "comparisons")
    push(database, client, "p", [comparison(1000, gold=RIGHT)])
    rows = [comparison(number) for number in range(40)]
    with forgetting(database):
        assert push(database, client, "p", rows).gold == 1
    again = push(database, client, "p", rows)
    assert (again.pushed, again.arrived, again.waiting_gold) == (0, 41, 0)
    check(client, database, project, 41)


def test_a_number_that_label_studio_gave_again_after_the_backup_hides_no_task(
    database: Database, client: Client, make: Make
) -> None:
    project = make(database)
    push(database, client, "p", questions(3))
    gone = {one.id: one.task_id for one in stored(database).values()}
    with forgetting(database):
        for number in sorted(filter(None, gone.values()))[1:]:
            client.delete_task(number)
        push(database, client, "p", questions(5))
    again = push(database, client, "p", questions(5))
    assert (again.pushed, again.arrived) == (0, 2)
    found = tasks(client, project)
    assert {task["id"] for task in found} == {one.task_id for one in stored(database).values() if one.task_id}
    assert len({task["data"]["ref"] for task in found}) == len(found) == 3


def test_tasks_that_somebody_added_in_the_page_are_left_alone(database: Database, client: Client, make: Make) -> None:
    project = make(database)
    push(database, client, "p", questions(2))
    own = [{key: value for key, value in tasks(client, project)[0]["data"].items() if key != "ref"}]
    client.import_tasks(project.remote_id, [{"data": data} for data in own * 2])
    assert push(database, client, "p", questions(3)) == Pushed(already=2, pushed=1)
    assert len(tasks(client, project)) == 5


def test_where_nothing_was_forgotten_one_task_is_looked_at(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(database)
    push(database, client, "p", questions(30))
    seen: list[int] = []
    listed = client.tasks

    def noting(*asked: Any, **how: Any) -> Iterator[Json]:
        for task in listed(*asked, **how):
            seen.append(task["id"])
            yield task

    monkeypatch.setattr(client, "tasks", noting)
    push(database, client, "p", questions(60))
    assert len(seen) == 1
    push(database, client, "p", questions(60))
    assert len(seen) == 1


class Faulty(Demonstrations):
    """Makes one task that Label Studio refuses."""

    def task(self, content: Json, order: Order) -> Json:
        made = super().task(content, order)
        return {} if "What is 7 +" in json.dumps(made) else made


def test_a_task_that_is_refused_costs_itself_alone(
    database: Database, client: Client, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make(database)
    monkeypatch.setattr(labeling.push, "kind_of", lambda *_: Faulty())
    found = push(database, client, "p", questions(20))
    assert found.pushed == 19
    ((provenance, reason),) = found.refused
    assert provenance == {"file": "secret.jsonl", "line": 7}
    assert "refused" in reason
    assert len(tasks(client, project)) == 19
    monkeypatch.undo()
    assert push(database, client, "p").pushed == 1
    check(client, database, project, 20)


def test_the_project_must_be_known(database: Database, client: Client) -> None:
    with pytest.raises(KeyError, match="no project p"):
        push(database, client, "p", [])
    with pytest.raises(KeyError):
        get_project(database, "p")
