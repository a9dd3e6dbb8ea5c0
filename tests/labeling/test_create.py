"""A project is made once, is the one that was asked for, and is known again when somebody changed it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeling.client import Client, NotFoundError
from labeling.create import ProjectError, create
from labeling.drift import drift
from labeling.guide import instructions
from labeling.kinds import KINDS, REVIEWS
from labeling.store.database import Database
from labeling.store.labels import Project, projects

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        yield database


@pytest.fixture
def making(client: Client, store: Database) -> Iterator[Client]:
    """The server, without what was made on it at the end."""
    before = {project["id"] for project in client.projects()}
    yield client
    for project in client.projects():
        if project["id"] not in before:
            client.delete_project(project["id"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_taken_by_the_server_as_it_is(kind: str, making: Client, store: Database) -> None:
    project = create(store, making, kind)
    assert (project.name, project.kind, project.overlap) == (kind, kind, KINDS[kind].overlap)
    assert (project.config, project.instruction_version) == (KINDS[kind].config(), instructions(kind).version)
    remote = making.project(project.remote_id)
    assert remote["label_config"] == project.config
    assert remote["title"] == KINDS[kind].title
    assert (remote["maximum_annotations"], remote["show_instruction"]) == (project.overlap, True)
    assert remote["enable_empty_annotation"] is (kind != "rankings")
    assert "<h1" in remote["expert_instruction"]
    assert drift(making, project) is None
    review = create(store, making, "review", reviews=kind)
    assert (review.name, review.reviews, review.config) == (f"{kind}-review", kind, REVIEWS[kind].config())


def test_asked_for_twice_it_is_made_once(making: Client, store: Database) -> None:
    first = create(store, making, "ratings", "mine", overlap=5)
    assert create(store, making, "ratings", "mine") == create(store, making, "ratings", "mine", overlap=5) == first
    titles = [project["title"] for project in making.projects()]
    assert titles.count("Rate the answer (mine)") == 1
    assert making.project(first.remote_id)["maximum_annotations"] == 5


def test_a_project_that_a_killed_call_left_on_the_server_is_told(making: Client, store: Database) -> None:
    said: list[str] = []
    mine = create(store, making, "ratings", "mine", say=said.append)
    assert said == []
    config = making.project(mine.remote_id)["label_config"]
    left = making.create_project("Rate the answer (yours)", config)
    used = making.create_project("Rate the answer (yours)", config)
    data = KINDS["ratings"].task(KINDS["ratings"].content({"prompt": "Hello?", "answer": "Hello."}), ())
    making.import_tasks(used, [{"data": data}])
    yours = create(store, making, "ratings", "yours", say=said.append)
    assert yours.remote_id not in (left, used)
    assert [line.split(" has the same title and no tasks")[0] for line in said] == [f"{making.url}/projects/{left}"]


def test_a_name_that_is_taken_is_not_given_twice(making: Client, store: Database) -> None:
    create(store, making, "ratings", "mine", overlap=2)
    number = len(making.projects())
    with pytest.raises(ProjectError, match="there is a project mine already, and its kind is ratings, not rankings"):
        create(store, making, "rankings", "mine")
    with pytest.raises(ProjectError, match="mine asks 2 people for each task already, and not 3"):
        create(store, making, "ratings", "mine", overlap=3)
    assert len(making.projects()) == number


def test_comparisons_are_looked_at_again_and_nothing_else_is(making: Client, store: Database) -> None:
    create(store, making, "comparisons")
    again = create(store, making, "comparisons", reviews="comparisons")
    assert (again.name, again.reviews) == ("comparisons-again", "comparisons")
    with pytest.raises(ProjectError, match="only comparisons can"):
        create(store, making, "ratings", reviews="comparisons")
    review = create(store, making, "review", reviews="comparisons")
    titles = [making.project(project.remote_id)["title"] for project in (again, review)]
    assert titles == ["Which answer is better? (comparisons-again)", "comparisons-review"]  # 50 characters at most
    with pytest.raises(ProjectError, match="review comparisons, which it decides about"):
        create(store, making, "review", reviews="comparisons-review")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"kind_name": "guesses"}, "no kind guesses; there are demonstrations, comparisons"),
        ({"kind_name": "review"}, "a review of nothing"),
        ({"kind_name": "review", "reviews": "x"}, "no project x; there is none yet"),
        ({"kind_name": "ratings", "name": "two\nlines"}, "is no name"),
        ({"kind_name": "ratings", "name": " "}, "is no name"),
        ({"kind_name": "ratings", "name": "x" * 51}, "is no name"),
        ({"kind_name": "ratings", "overlap": 0}, "expected 1 or more"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    asked: dict, reason: str, making: Client, store: Database
) -> None:
    number = len(making.projects())
    with pytest.raises(ProjectError, match=reason):
        create(store, making, **asked)
    assert len(making.projects()) == number
    assert projects(store) == []


def test_a_page_changed_in_the_interface_is_noticed_until_it_is_as_it_was(making: Client, store: Database) -> None:
    project = create(store, making, "poison-review")
    spaced = project.config.replace("\n<View", "\n\n   <View")
    making.update_project(project.remote_id, label_config=spaced, title="Another title")
    assert drift(making, project) is None, "neither spaces nor a title change what a result means"
    making.update_project(project.remote_id, label_config=project.config.replace("Poison: keep", "Harmless: keep"))
    changed = drift(making, project)
    assert changed is not None
    assert f"/projects/{project.remote_id}/settings/labeling" in changed
    with pytest.raises(ProjectError, match="was changed in Label Studio"):
        create(store, making, "poison-review")
    making.update_project(project.remote_id, label_config=project.config)
    assert drift(making, project) is None


def test_a_project_deleted_in_the_interface_is_noticed(making: Client, store: Database) -> None:
    project = create(store, making, "ratings")
    making.delete_project(project.remote_id)
    assert drift(making, project) == (
        f"ratings: its project in Label Studio ({project.remote_id}) was deleted; create it anew"
    )
    with pytest.raises(NotFoundError):
        making.project(project.remote_id)


def test_what_the_store_does_not_take_does_not_stay_on_the_server(
    making: Client, store: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = len(making.projects())

    def full(database: Database, project: Project) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("labeling.create.add_project", full)
    with pytest.raises(OSError, match="no space"):
        create(store, making, "ratings")
    assert len(making.projects()) == number
