"""What somebody changed in Label Studio's interface is told part by part, and noted from its beginning to its end."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from labeling.client import Client
from labeling.create import ProjectError, create
from labeling.cursor import Cursor
from labeling.drift import INSTRUCTIONS, INTERFACE, SETTINGS, differences, drift, look
from labeling.store.database import Database
from labeling.store.labels import Project, get_project

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        yield database


@pytest.fixture
def project(store: Database, client: Client) -> Iterator[Project]:
    made = create(store, client, "rankings", "mine", overlap=2)
    yield made
    client.delete_project(made.remote_id)


def parts(client: Client, project: Project) -> dict[str, str]:
    return differences(project, client.project(project.remote_id))


def test_instructions_with_other_words_are_told(client: Client, project: Project) -> None:
    html = client.project(project.remote_id)["expert_instruction"]
    client.update_project(project.remote_id, expert_instruction=html.replace("<p>", "\n<p>\n"))
    assert drift(client, project) is None, "lines that were set anew are no other instructions"
    client.update_project(project.remote_id, expert_instruction=html + "<p>The longest one is the best.</p>")
    assert list(parts(client, project)) == [INSTRUCTIONS]
    said = drift(client, project)
    assert said is not None
    assert said.startswith("mine: its instructions were changed in Label Studio")
    assert "restore those of version 1" in said
    client.update_project(project.remote_id, expert_instruction="")
    assert list(parts(client, project)) == [INSTRUCTIONS]
    client.update_project(project.remote_id, expert_instruction=html)
    assert drift(client, project) is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"show_instruction": False}, "show_instruction is False, not True"),
        ({"maximum_annotations": 7}, "maximum_annotations is 7, not 2"),
        ({"show_collab_predictions": False}, "show_collab_predictions is False, not True"),
        ({"sampling": "Uniform sampling"}, "sampling is Uniform sampling, not Sequential sampling"),
    ],
)
def test_a_setting_that_was_changed_is_told_and_keeps_nobody_from_going_on(
    changed: dict[str, Any], told: str, client: Client, store: Database, project: Project
) -> None:
    client.update_project(project.remote_id, **changed)
    found = parts(client, project)
    assert list(found) == [SETTINGS]
    assert told in found[SETTINGS]
    assert create(store, client, "rankings", "mine") == project


def test_a_change_is_noted_when_it_is_seen_first_and_when_it_is_seen_no_more(
    client: Client, store: Database, project: Project
) -> None:
    other = project.config.replace("best", "worst")
    assert other != project.config
    client.update_project(project.remote_id, label_config=other, expert_instruction="Be quick.")
    with pytest.raises(ProjectError, match="its labelling configuration was changed"):
        create(store, client, "rankings", "mine")  # whoever looks first
    noted = Cursor.load(get_project(store, "mine").cursor).differed
    assert {part: end for part, ((_, end),) in noted.items()} == {INTERFACE: None, INSTRUCTIONS: None}
    look(store, client, "mine")
    assert Cursor.load(get_project(store, "mine").cursor).differed == noted
    client.update_project(project.remote_id, label_config=project.config)
    seen = look(store, client, "mine")
    after = Cursor.load(get_project(store, "mine").cursor).differed
    assert after[INTERFACE][0][1] == seen.now + timedelta(seconds=1)
    assert after[INSTRUCTIONS] == noted[INSTRUCTIONS]
