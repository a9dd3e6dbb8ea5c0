"""Pulling from a real Label Studio: what is new, changed and gone, what is not to be believed, and being cut off."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from labeling import pull as pulling
from labeling.client import Client, DeniedError, UnreachableError
from labeling.create import create
from labeling.drift import UNKNOWN_VERSION
from labeling.kinds.comparisons import Comparisons
from labeling.kinds.kind import Json, Sample, sample_id
from labeling.pull import DELETED, OTHER_PAGE, REPLACED, PullError, pull
from labeling.push import push
from labeling.quality.simulate import stored
from labeling.store.database import Database, StoreError
from labeling.store.labels import (
    Annotation,
    Project,
    ProjectRow,
    SampleRow,
    StoredSample,
    add_samples,
    read_annotations,
    read_samples,
)
from labeling.store.sending import claim, set_tasks
from labeling.tasks import make_task
from labeling.webhook import HEADER, Receiver
from tests.labeling.conftest import LabelStudio, free_port, start_label_studio
from tests.labeling.tokens import Expiring

pytestmark = pytest.mark.slow

KIND = Comparisons()
WINS: Json = {"choice": "a", "margin": 1.0}
LOSES: Json = {"choice": "b", "margin": 1 / 3}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        yield database


def a_project(store: Database, client: Client, samples: int) -> Project:
    project = create(store, client, KIND.name, "pairs")
    push(store, client, project.name, [a_sample(number) for number in range(samples)])
    return project


def a_sample(number: int) -> Sample:
    content = KIND.content({"prompt": f"What is {number} and 1?", "answers": [f"{number + 1}.", "I don't know."]})
    return Sample(sample_id(KIND.name, content), content)


def tasks_of(store: Database, project: Project) -> dict[int, Any]:
    with store.read() as session:
        return {one.task_id: one for one in read_samples(session, project.name) if one.task_id is not None}


def says(store: Database, project: Project, task: int, verdict: Json) -> list[Json]:
    sample = tasks_of(store, project)[task]
    found: list[Json] = KIND.result(verdict, sample.content, sample.order)
    return found


def annotations(store: Database, name: str = "pairs") -> list[Annotation]:
    with store.read() as session:
        return list(read_annotations(session, name))


def test_labels_come_in_the_samples_order_with_author_and_time(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 2)
    for task in tasks_of(store, project):
        for person in people:
            person.annotate(task, says(store, project, task, WINS), seconds=4.5)
    pulled = pull(store, client, "pairs")
    found = annotations(store)
    assert (pulled.tasks, pulled.new, pulled.changed, pulled.deleted) == (2, 6, 0, 0)
    assert all((one.verdict, one.reason, one.seconds) == (WINS, None, 4.5) for one in found)
    assert len({one.annotator for one in found}) == 3
    assert not any("example.com" in one.annotator for one in found)
    assert {one.sample for one in found} == {sample.id for sample in tasks_of(store, project).values()}


def test_a_second_pull_finds_only_what_has_changed_since(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MARGIN", timedelta(0))
    project = a_project(store, client, 3)
    first, second, _ = tasks_of(store, project)
    people[0].annotate(first, says(store, project, first, WINS))
    kept = people[0].annotate(second, says(store, project, second, WINS))
    pull(store, client, "pairs")
    people[0].update_annotation(kept, result=says(store, project, second, LOSES))
    people[1].annotate(second, says(store, project, second, LOSES))
    pulled = pull(store, client, "pairs")
    assert (pulled.full, pulled.new, pulled.changed) == (False, 1, 1)
    assert [one.verdict for one in annotations(store) if one.task_id == second] == [LOSES, LOSES]


def test_nothing_new_is_nothing_stored(store: Database, client: Client, people: list[Client]) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    people[0].annotate(task, says(store, project, task, WINS))
    pull(store, client, "pairs")
    before = annotations(store)
    pulled = pull(store, client, "pairs")
    assert (pulled.new, pulled.changed, pulled.deleted) == (0, 0, 0)
    assert annotations(store) == before


def test_a_deleted_annotation_is_marked_and_not_forgotten(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    gone = people[0].annotate(task, says(store, project, task, WINS))
    pull(store, client, "pairs")
    client.delete_annotation(gone)
    assert pull(store, client, "pairs").deleted == 1
    (found,) = annotations(store)
    assert (found.verdict, found.reason) == (None, DELETED)


def test_a_deleted_task_is_found_by_a_full_pull_alone(store: Database, client: Client, people: list[Client]) -> None:
    project = a_project(store, client, 2)
    first, second = tasks_of(store, project)
    for task in (first, second):
        people[0].annotate(task, says(store, project, task, WINS))
    pull(store, client, "pairs")
    client.delete_task(first)
    assert pull(store, client, "pairs").deleted == 0
    assert pull(store, client, "pairs", full=True).deleted == 1
    assert {one.task_id: one.reason for one in annotations(store)} == {first: DELETED, second: None}
    assert set(tasks_of(store, project)) == {second}


def test_what_a_person_said_stays_when_the_account_is_removed(
    store: Database, client: Client, label_studio: LabelStudio
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    users = {"base_url": f"{client.url}/api/users/", "headers": {"Authorization": f"Token {label_studio.admin.token}"}}
    with httpx.Client(**users, timeout=60) as server:  # type: ignore[arg-type]
        made = server.post("", json={"email": "gone@example.com", "username": "gone"}).json()["id"]
        client.annotate(task, says(store, project, task, WINS), completed_by=made)
        pull(store, client, "pairs")
        before = annotations(store)
        assert server.delete(f"{made}/").status_code == 204
    pulled = pull(store, client, "pairs", full=True)
    assert (pulled.changed, pulled.deleted) == (0, 0)
    (after,) = annotations(store)
    assert [after] == [replace(one, seen=after.seen) for one in before]
    assert after.verdict == WINS


def test_what_a_push_sends_meanwhile_is_not_taken_for_deleted(
    store: Database, client: Client, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = a_project(store, client, 2)
    listed = client.tasks

    def and_then_more_arrive(*asked: Any, **how: Any) -> Iterator[Json]:
        yield from listed(*asked, **how)
        with label_studio.client() as other:
            push(store, other, "pairs", [a_sample(2)])
        with store.write() as session:  # as where that push began before this pull, and its import took long
            session.execute(update(SampleRow).values(sent=datetime(2026, 1, 1, tzinfo=UTC)))

    monkeypatch.setattr(client, "tasks", and_then_more_arrive)
    pull(store, client, "pairs", full=True)
    assert len(tasks_of(store, project)) == 3


def test_a_full_pull_is_due_by_itself_after_hours(store: Database, client: Client, people: list[Client]) -> None:
    a_project(store, client, 1)
    assert pull(store, client, "pairs").full
    assert not pull(store, client, "pairs").full
    with store.write() as session:
        long_ago = datetime.now(UTC) - pulling.RECONCILE
        session.execute(update(ProjectRow).values(reconciled=long_ago))
    assert pull(store, client, "pairs").full


def test_a_skipped_task_and_a_persons_older_answer_do_not_count(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    people[0].annotate(task, says(store, project, task, LOSES))
    people[0].annotate(task, says(store, project, task, WINS))
    people[1].annotate(task, [], was_cancelled=True)
    pulled = pull(store, client, "pairs")
    assert [one.verdict for one in annotations(store) if one.verdict] == [WINS]
    assert pulled.reasons == {REPLACED: 1, "skipped": 1}


def test_what_does_not_fit_the_project_is_set_aside_with_a_reason(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    wrong = [{"from_name": "grade", "to_name": "prompt", "type": "choices", "value": {"choices": ["middle"]}}]
    people[0].annotate(task, wrong)
    pull(store, client, "pairs")
    (found,) = annotations(store)
    assert found.verdict is None
    assert found.reason
    assert found.result[0]["value"] == {"choices": ["middle"]}


def test_a_project_whose_interface_was_changed_by_hand_gives_reasons_and_no_labels(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    other = '<View><Text name="t" value="$ref"/><Choices name="mood" toName="t"><Choice value="x"/></Choices></View>'
    client.update_project(project.remote_id, label_config=other)
    people[0].annotate(task, [{"from_name": "mood", "to_name": "t", "type": "choices", "value": {"choices": ["x"]}}])
    assert sum(pull(store, client, "pairs").reasons.values()) == 1


def after_the_second(client: Client) -> None:
    """Label Studio tells its time in whole seconds: what is done from now on was done after what was told before."""
    now = client.now()
    for _ in range(100):
        if client.now() > now + timedelta(seconds=1):
            return
        time.sleep(0.1)
    raise AssertionError(f"Label Studio's clock stands at {now}")


def swapped(config: str) -> str:
    """The page with the words of two grades exchanged, behind the values that are stored."""
    found = re.sub(r'alias="([ab])_better"', lambda one: f'alias="{"b" if one[1] == "a" else "a"}_better"', config)
    assert found != config
    return found


def test_what_was_said_while_a_page_meant_something_else_is_set_aside_until_it_is_said_again(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MARGIN", timedelta(0))
    project = a_project(store, client, 2)
    first, second = tasks_of(store, project)
    before = people[0].annotate(first, says(store, project, first, WINS))
    pull(store, client, "pairs")
    after_the_second(client)
    pull(store, client, "pairs")  # so much is known to have been said on the page as it was made

    client.update_project(project.remote_id, label_config=swapped(project.config))
    doubtful = people[1].annotate(first, says(store, project, first, WINS))
    pulled = pull(store, client, "pairs")
    assert pulled.reasons == {OTHER_PAGE: 1}
    assert "its labelling configuration was changed in Label Studio" in pulled.differs[0]
    later = people[0].annotate(second, says(store, project, second, WINS))
    pull(store, client, "pairs")

    client.update_project(project.remote_id, label_config=project.config)
    for full in (False, True):
        pulled = pull(store, client, "pairs", full=full)
        assert pulled.differs == ()
        said = {one.remote_id: (one.verdict, one.reason) for one in annotations(store)}
        assert said == {before: (WINS, None), doubtful: (None, OTHER_PAGE), later: (None, OTHER_PAGE)}
    after_the_second(client)
    people[1].update_annotation(doubtful, result=says(store, project, first, LOSES))
    pulled = pull(store, client, "pairs")
    assert (pulled.changed, pulled.reasons) == (1, {})
    assert {one.remote_id: one.verdict for one in annotations(store)} == {before: WINS, doubtful: LOSES, later: None}


def test_a_change_of_the_page_is_known_though_the_pull_that_saw_it_was_stopped(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    pull(store, client, "pairs")
    client.update_project(project.remote_id, label_config=swapped(project.config))
    people[0].annotate(task, says(store, project, task, WINS))
    with pytest.raises(StoppedError):
        pull(store, client, "pairs", say=stop_after(1))
    client.update_project(project.remote_id, label_config=project.config)
    pull(store, client, "pairs")
    assert [one.reason for one in annotations(store)] == [OTHER_PAGE]


def test_labels_made_under_changed_instructions_say_so(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "MARGIN", timedelta(0))
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    before = people[0].annotate(task, says(store, project, task, WINS))
    pull(store, client, "pairs")
    after_the_second(client)
    pull(store, client, "pairs")
    told = client.project(project.remote_id)["expert_instruction"]
    client.update_project(project.remote_id, expert_instruction="<p>Take the longer one.</p>")
    under = people[1].annotate(task, says(store, project, task, WINS))
    pulled = pull(store, client, "pairs")
    assert [sentence.split(" (")[0] for sentence in pulled.differs] == [
        "pairs: its instructions were changed in Label Studio"
    ]
    client.update_project(project.remote_id, expert_instruction=told)
    pull(store, client, "pairs", full=True)
    made = {one.remote_id: (one.instruction_version, one.verdict) for one in annotations(store)}
    assert made == {before: (1, WINS), under: (UNKNOWN_VERSION, WINS)}
    after_the_second(client)
    people[1].update_annotation(under, result=says(store, project, task, WINS))
    pull(store, client, "pairs")
    assert {one.instruction_version for one in annotations(store)} == {1}


def test_a_task_added_by_hand_is_nobodys_sample(store: Database, client: Client, people: list[Client]) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    data = client.task(task)["data"]
    (strange,) = client.import_tasks(project.remote_id, [{"data": data | {"ref": "by hand"}}])
    people[0].annotate(strange, says(store, project, task, WINS))
    pull(store, client, "pairs")
    (found,) = annotations(store)
    assert (found.sample, found.verdict) == (None, None)


def test_labels_of_a_task_that_was_sent_twice_are_all_of_its_sample(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = a_project(store, client, 2)
    task, _ = tasks_of(store, project)
    [twin] = client.import_tasks(project.remote_id, [{"data": client.task(task)["data"]}])
    people[0].annotate(task, says(store, project, task, WINS))
    people[1].annotate(twin, says(store, project, task, WINS))
    pulled = pull(store, client, "pairs")
    assert (pulled.tasks, pulled.doubled, pulled.reasons) == (3, 1, {})
    sample = tasks_of(store, project)[task].id
    assert {one.task_id: (one.sample, one.verdict) for one in annotations(store)} == {
        task: (sample, WINS),
        twin: (sample, WINS),
    }
    client.delete_task(task)
    pulled = pull(store, client, "pairs", full=True)
    assert (pulled.deleted, pulled.reasons) == (1, {})
    pulled = pull(store, client, "pairs", full=True)
    assert (pulled.doubled, [one.verdict for one in annotations(store)]) == (0, [None, WINS])


def test_labels_changed_all_at_once_all_arrive(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 12)
    project = a_project(store, client, 30)
    made = [
        person.annotate(task, says(store, project, task, WINS))
        for task in tasks_of(store, project)
        for person in people
    ]
    pull(store, client, "pairs")
    by_id = {one.remote_id: one for one in annotations(store)}
    for id in made:
        client.update_annotation(id, result=says(store, project, by_id[id].task_id, LOSES))
    pulled = pull(store, client, "pairs")
    assert (pulled.new, pulled.changed) == (0, 90)
    assert all(one.verdict == LOSES for one in annotations(store))


def test_a_thousand_labels_changed_at_once_are_each_counted_once(
    store: Database, client: Client, people: list[Client]
) -> None:
    project = create(store, client, KIND.name, "pairs")
    asked = [stored(KIND.name, a_sample(number).content, (0, 1)) for number in range(334)]
    add_samples(store, "pairs", asked)
    claim(store, "pairs", [one.id for one in asked])
    names = [person.whoami().id for person in people]

    def labelled(one: StoredSample) -> Json:
        said = KIND.result(WINS, one.content, one.order)
        return make_task(project, KIND, one) | {"annotations": [{"result": said, "completed_by": id} for id in names]}

    ids = client.import_tasks(project.remote_id, [labelled(one) for one in asked])
    set_tasks(store, "pairs", {one.id: id for one, id in zip(asked, ids, strict=True)})
    assert pull(store, client, "pairs").new == 1002
    *changed, first, second = annotations(store)
    loses = {one.id: KIND.result(LOSES, one.content, one.order) for one in asked}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: client.update_annotation(one.remote_id, result=loses[one.sample]), changed))

    pulled = pull(store, client, "pairs")

    assert (pulled.new, pulled.changed, pulled.deleted, pulled.reasons) == (0, 1000, 0, {})
    found = {one.remote_id: one.verdict for one in annotations(store)}
    assert found == {one.remote_id: LOSES for one in changed} | {one.remote_id: WINS for one in (first, second)}
    assert pull(store, client, "pairs").changed == 0


class StoppedError(Exception):
    pass


def stop_after(pages: int) -> Callable[[str], None]:
    told: list[str] = []

    def say(line: str) -> None:
        told.append(line)
        if len(told) >= pages:
            raise StoppedError

    return say


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_pull_that_was_stopped_goes_on_and_loses_nothing_that_changed_behind_it(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 5)
    project = a_project(store, client, 20)
    tasks = sorted(tasks_of(store, project))
    for task in tasks:
        people[0].annotate(task, says(store, project, task, WINS))
    with pytest.raises(StoppedError):
        pull(store, client, "pairs", say=stop_after(pages))
    assert len(annotations(store)) == 5 * pages
    people[1].annotate(tasks[0], says(store, project, tasks[0], LOSES))  # behind its back
    rest = pull(store, client, "pairs")
    assert rest.tasks == 20 - 5 * pages
    after = pull(store, client, "pairs")
    assert len(annotations(store)) == 21
    assert after.new == 1


def test_a_token_that_expires_between_two_pages_costs_nothing(
    store: Database, client: Client, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 5)
    project = a_project(store, client, 20)
    for task in tasks_of(store, project):
        client.annotate(task, says(store, project, task, WINS))
    expiring = Expiring(label_studio)
    with expiring.client() as old, pytest.raises(DeniedError, match="token is not accepted.*corpuscle label connect"):
        pull(store, old, "pairs", say=lambda _: expiring.revoke())
    assert len(annotations(store)) == 5
    with expiring.client() as new:
        assert pull(store, new, "pairs").new == 15
    assert len({one.sample for one in annotations(store)}) == len(annotations(store)) == 20


def test_a_full_disk_is_one_clear_error_and_the_same_call_goes_on(
    store: Database, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 5)
    project = a_project(store, client, 20)
    for task in tasks_of(store, project):
        client.annotate(task, says(store, project, task, WINS))

    real = pulling.put_annotations

    def limit(connection: Any, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 100")

    def limited(line: str) -> None:
        event.listen(store.engine, "connect", limit)
        store.engine.dispose()
        monkeypatch.setattr(pulling, "put_annotations", put_more)

    def put_more(session: Session, *rest: Any) -> None:
        """In the page's own transaction, behind the cursor that it has moved."""
        real(session, *rest)
        session.connection().exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(1000000)")

    with pytest.raises(StoreError, match="full; make room"):
        pull(store, client, "pairs", say=limited)
    assert len(annotations(store)) == 5
    monkeypatch.setattr(pulling, "put_annotations", real)
    event.remove(store.engine, "connect", limit)
    store.engine.dispose()
    assert pull(store, client, "pairs").new == 15
    assert len({one.sample for one in annotations(store)}) == len(annotations(store)) == 20
    assert pull(store, client, "pairs", full=True).changed == 0


def test_of_two_pulls_at_once_one_stops(store: Database, client: Client, people: list[Client]) -> None:
    project = a_project(store, client, 3)

    def another(line: str) -> None:
        with store.write() as session:
            session.execute(update(ProjectRow).values(cursor='{"since": null, "began": null, "after": 0}'))

    for task in tasks_of(store, project):
        people[0].annotate(task, says(store, project, task, WINS))
    with pytest.raises(PullError, match="another pull of pairs is at work"):
        pull(store, client, "pairs", say=another)


def test_an_unknown_project_is_named_with_those_there_are(store: Database, client: Client) -> None:
    with pytest.raises(KeyError, match="there is none yet"):
        pull(store, client, "nope")


def test_a_webhook_of_label_studio_is_a_hint(store: Database, client: Client, people: list[Client]) -> None:
    project = a_project(store, client, 1)
    (task,) = tasks_of(store, project)
    with Receiver("the secret") as receiver:
        client.create_webhook(project.remote_id, receiver.url, {HEADER: "the secret"})
        people[0].annotate(task, says(store, project, task, WINS))
        assert receiver.wait(20)
    assert pull(store, client, "pairs").new == 1


def test_a_server_that_dies_in_the_middle_and_comes_back_costs_nothing(
    label_studio_template: Path, tmp_path: Path, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 5)
    port = free_port()
    running: LabelStudio = start_label_studio(label_studio_template, tmp_path / "labels", port)
    try:
        client = Client(running.url, running.admin.token, patience=1)
        project = a_project(store, client, 20)
        for task in tasks_of(store, project):
            client.annotate(task, says(store, project, task, WINS))
        killed = threading.Event()

        def kill(line: str) -> None:
            if not killed.is_set():
                killed.set()
                running.server.stop()

        with pytest.raises(UnreachableError, match="goes on where it was"):
            pull(store, client, "pairs", say=kill)
        assert len(annotations(store)) == 5
        running.server.__enter__()
        assert pull(store, client, "pairs").new == 15
        assert len(annotations(store)) == 20
    finally:
        running.server.stop()


def test_labels_made_while_pulls_go_on_all_arrive_once(
    store: Database, client: Client, people: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "PAGE", 5)
    project = a_project(store, client, 12)
    tasks = sorted(tasks_of(store, project))
    results = {task: says(store, project, task, WINS) for task in tasks}
    made: set[int] = set()

    def label(person: Client) -> None:
        for task in random.Random(person.whoami().id).sample(tasks, len(tasks)):
            made.add(person.annotate(task, results[task]))

    threads = [threading.Thread(target=label, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        pull(store, client, "pairs")
    for thread in threads:
        thread.join()
    pull(store, client, "pairs")
    assert {one.remote_id for one in annotations(store)} == made
    assert len(made) == 36
