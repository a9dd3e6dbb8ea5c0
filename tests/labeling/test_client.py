"""What Label Studio really does, call by call: on a real server."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from labeling.client import Client, DeniedError, NotFoundError, RefusedError, UnreachableError
from labeling.folder import Folder
from labeling.server.process import Server
from tests.labeling.conftest import LabelStudio, start_label_studio

pytestmark = pytest.mark.slow

CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="choice" toName="text"><Choice value="a"/><Choice value="b"/></Choices>
</View>
"""


def said(choice: str) -> list[dict[str, object]]:
    return [{"from_name": "choice", "to_name": "text", "type": "choices", "value": {"choices": [choice]}}]


@pytest.fixture
def project(client: Client) -> Iterator[int]:
    made = client.create_project("Tests of the client", CONFIG, "<p>Choose.</p>", overlap=2)
    yield made
    client.delete_project(made)


def tasks(count: int) -> list[dict[str, object]]:
    return [{"data": {"text": f"text {number}", "ref": f"r{number}"}} for number in range(count)]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_owner_of_a_token_is_known(label_studio: LabelStudio, client: Client, people: list[Client]) -> None:
    assert client.whoami().email == label_studio.admin.email
    assert [one.whoami().id for one in people] == [person.id for person in label_studio.annotators]
    assert len({person.id for person in label_studio.annotators}) == 3


def test_a_project_is_as_it_was_asked_for(client: Client, project: int) -> None:
    found = client.project(project)
    assert found["title"] == "Tests of the client"
    assert found["maximum_annotations"] == 2
    assert found["expert_instruction"] == "<p>Choose.</p>"
    assert found["show_instruction"] is True
    client.update_project(project, title="Another title")
    assert {one["id"]: one["title"] for one in client.projects()}[project] == "Another title"


def test_a_configuration_at_fault_is_refused_with_the_servers_words(client: Client, project: int) -> None:
    with pytest.raises(RefusedError, match="label_config: .*unclosed token"):
        client.create_project("Broken", "<View")
    with pytest.raises(RefusedError, match="not a valid|invalid|label_config"):
        client.update_project(project, label_config="<View><Choices name='x' toName='nowhere'/></View>")


def test_ids_come_in_the_order_of_the_tasks(client: Client, project: int) -> None:
    ids = client.import_tasks(project, tasks(1000))
    found = {task["id"]: task["data"]["ref"] for task in client.tasks(project, page_size=300)}
    assert [found[one] for one in ids] == [f"r{number}" for number in range(1000)]


def test_a_task_that_lacks_what_is_shown_keeps_all_of_its_import_out(client: Client, project: int) -> None:
    with pytest.raises(RefusedError, match='"text" key is expected'):
        client.import_tasks(project, [*tasks(3), {"data": {"ref": "x"}}])
    assert list(client.tasks(project)) == []


def test_hostile_text_comes_back_as_it_went(client: Client, project: int) -> None:
    text = "<script>alert(1)</script>\x1b[2J\u202e{{7*7}} $text 😀 '; DROP TABLE task; --"
    client.import_tasks(project, [{"data": {"text": text}}])
    assert [task["data"]["text"] for task in client.tasks(project)] == [text]


def test_half_characters_do_not_make_a_project_unreadable(client: Client, project: int) -> None:
    """Sent as they are the server takes them, and from then on answers each listing with error 500."""
    client.import_tasks(project, [{"data": {"text": "a\ud800b\0c"}}])
    assert [task["data"]["text"] for task in client.tasks(project)] == ["a\ufffdb\ufffdc"]


def test_tasks_come_by_rising_id_over_pages(client: Client, project: int) -> None:
    ids = client.import_tasks(project, tasks(5))
    assert [task["id"] for task in client.tasks(project, page_size=2)] == ids
    assert [task["id"] for task in client.tasks(project, page_size=5)] == ids
    assert [task["id"] for task in client.tasks(project, after_id=ids[2])] == ids[3:]
    assert all("annotations" not in task for task in client.tasks(project, with_annotations=False))


def test_deleting_meanwhile_skips_no_other_task(client: Client, project: int) -> None:
    ids = client.import_tasks(project, tasks(6))
    seen = []
    for task in client.tasks(project, page_size=2):
        seen.append(task["id"])
        client.delete_task(ids[0])
    assert seen == ids


def test_an_annotation_comes_with_all_that_is_known_of_it(client: Client, people: list[Client], project: int) -> None:
    prediction = {"model_version": "m", "result": said("b")}
    [task] = client.import_tasks(project, [{"data": {"text": "t"}, "predictions": [prediction]}])
    guess = client.task(task)["predictions"][0]["id"]
    made = people[0].annotate(task, said("a"), seconds=12.5, parent_prediction=guess)
    [found] = client.tasks(project)
    [annotation] = found["annotations"]
    assert annotation["id"] == made
    assert annotation["completed_by"] == people[0].whoami().id
    assert annotation["result"] == said("a")
    assert annotation["lead_time"] == 12.5
    assert annotation["parent_prediction"] == guess
    assert annotation["was_cancelled"] is False
    assert abs(moment(annotation["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    [same] = client.task(task)["annotations"]
    assert {name: same[name] for name in annotation} == annotation


def test_a_tasks_time_moves_with_each_change_of_its_annotations(client: Client, project: int) -> None:
    [task, other] = client.import_tasks(project, tasks(2))

    def time_of() -> datetime:
        return moment(client.task(task)["updated_at"])

    times = [time_of()]
    made = client.annotate(task, said("a"))
    times.append(time_of())
    client.update_annotation(made, result=said("b"))
    times.append(time_of())
    client.annotate(task, [], was_cancelled=True)
    times.append(time_of())
    client.delete_annotation(made)
    times.append(time_of())
    assert times == sorted(set(times))
    assert [one["id"] for one in client.tasks(project, updated_since=times[-1])] == [task]
    assert list(client.tasks(project, updated_since=times[-1] + timedelta(microseconds=1))) == []
    assert {one["id"] for one in client.tasks(project, updated_since=times[0] - timedelta(seconds=5))} == {task, other}


def test_the_data_managers_deletion_moves_it_too(label_studio: LabelStudio, client: Client, project: int) -> None:
    [task] = client.import_tasks(project, tasks(1))
    client.annotate(task, said("a"))
    before = client.task(task)["updated_at"]
    httpx.post(
        f"{client.url}/api/dm/actions/",
        params={"id": "delete_tasks_annotations", "project": project},
        json={"selectedItems": {"all": False, "included": [task]}, "ordering": []},
        headers={"Authorization": f"Token {label_studio.admin.token}"},
    ).raise_for_status()
    assert [one["annotations"] for one in client.tasks(project)] == [[]]
    assert moment(client.task(task)["updated_at"]) > moment(before)


def test_ids_of_deleted_tasks_come_again(client: Client, project: int) -> None:
    """With SQLite: so a task is known by its data, and not by its id alone."""
    ids = client.import_tasks(project, tasks(2))
    client.delete_task(ids[1])
    assert client.import_tasks(project, tasks(1)) == [ids[1]]


def test_what_is_gone_is_told_and_deleting_it_again_is_no_error(client: Client, project: int) -> None:
    [task] = client.import_tasks(project, tasks(1))
    made = client.annotate(task, said("a"))
    for _ in range(2):
        client.delete_annotation(made)
    for _ in range(2):
        client.delete_task(task)
    for _ in range(2):
        client.delete_project(project)
    with pytest.raises(NotFoundError):
        client.task(task)
    with pytest.raises(NotFoundError):
        client.annotate(task, said("a"))
    with pytest.raises(NotFoundError):
        list(client.tasks(project))
    with pytest.raises(NotFoundError):
        client.import_tasks(project, tasks(1))


def test_the_servers_clock_is_that_of_its_tasks(client: Client, project: int) -> None:
    before = client.now()
    client.import_tasks(project, tasks(1))
    [task] = client.tasks(project)
    assert before <= moment(task["updated_at"]) <= client.now() + timedelta(seconds=1)


def test_a_webhook_can_be_made_to_this_machine(client: Client, project: int) -> None:
    made = client.create_webhook(project, "http://127.0.0.1:9/hint", {"X-Secret": "s"}, ["ANNOTATION_CREATED"])
    [found] = client._get("api/webhooks/", project=project)
    assert (found["id"], found["url"], found["headers"]) == (made, "http://127.0.0.1:9/hint", {"X-Secret": "s"})
    assert (found["is_active"], found["actions"]) == (True, ["ANNOTATION_CREATED"])
    client.delete_webhook(made)
    assert client._get("api/webhooks/", project=project) == []
    client.delete_webhook(made)  # one that is gone is no error


@pytest.fixture
def personal_token(label_studio: LabelStudio) -> Iterator[str]:
    """A personal access token of the administrator, who may have one at a time."""
    headers = {"Authorization": f"Token {label_studio.admin.token}"}
    with httpx.Client(base_url=label_studio.url, headers=headers, timeout=30) as http:
        token = http.post("/api/token/").json()["token"]
        yield token
        http.post("/api/token/blacklist/", json={"refresh": token})


def access_until(moment: float) -> str:
    """Access that reads as if it held until then, but that no server has signed."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"exp": int(moment)}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".eA"


@pytest.mark.parametrize("seconds", [-10, 300])
def test_access_that_has_run_out_is_bought_anew(client: Client, personal_token: str, seconds: int) -> None:
    """Whether this machine's clock says so or only the server's."""
    with Client(client.url, personal_token, patience=0) as other:
        assert other.whoami() == client.whoami()
        other._server._sdk._client_wrapper._tokens_client._set_access_token(access_until(time.time() + seconds))
        assert other.whoami() == client.whoami()


def test_a_revoked_personal_token_is_told(label_studio: LabelStudio, client: Client, personal_token: str) -> None:
    headers = {"Authorization": f"Token {label_studio.admin.token}"}
    body = {"refresh": personal_token}
    httpx.post(f"{client.url}/api/token/blacklist/", headers=headers, json=body, timeout=30).raise_for_status()
    with (
        Client(client.url, personal_token) as other,
        pytest.raises(DeniedError, match="blacklisted.*corpuscle label connect"),
    ):
        other.whoami()


def test_an_expired_personal_token_is_told_at_once(client: Client) -> None:
    with pytest.raises(DeniedError, match="expired"):
        Client(client.url, access_until(time.time() - 10))


def test_an_unknown_legacy_token_is_told(client: Client) -> None:
    with Client(client.url, "f" * 40) as other, pytest.raises(DeniedError, match="Invalid token"):
        other.whoami()


def test_a_listing_survives_that_the_server_is_killed_and_started_again(
    label_studio_template: Path, tmp_path: Path
) -> None:
    running = start_label_studio(label_studio_template, tmp_path / "labels")
    again: list[Server] = []

    def start_again() -> None:
        again.append(Server(Folder(tmp_path / "labels"), running.server.port))
        again[0].__enter__()

    try:
        with Client(running.url, running.admin.token, patience=300) as client:
            project = client.create_project("Killed", CONFIG)
            ids = client.import_tasks(project, tasks(6))
            seen = []
            for task in client.tasks(project, page_size=2):
                seen.append(task["id"])
                if len(seen) == 3:
                    running.server.stop()
                    with pytest.raises(UnreachableError), Client(running.url, running.admin.token, patience=0) as hasty:
                        hasty.whoami()
                    starting = threading.Thread(target=start_again)
                    starting.start()
            starting.join()
            assert seen == ids
    finally:
        for server in again:
            server.stop()
        running.server.stop()
