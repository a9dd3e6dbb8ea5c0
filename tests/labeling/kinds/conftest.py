"""A browser with an annotator logged in, and projects made as `corpuscle label create` makes them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling.client import Client
from labeling.create import create
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Draft, Order
from labeling.store.database import Database
from labeling.store.labels import Project
from tests.labeling.conftest import LabelStudio
from tests.labeling.kinds.browse import Desk, chromium
from tests.labeling.kinds.examples import order_of

Json = dict[str, Any]

Ask = Callable[..., "Asked"]


class Asked:
    """One task, in a project of its own."""

    def __init__(self, client: Client, project: Project, row: Json, draft: str | None = None) -> None:
        self.client, self.project = client, project
        self.kind = REVIEWS[project.reviews] if project.reviews else KINDS[project.kind]
        self.content = self.kind.content(row)
        self.order: Order = order_of(self.kind, self.content)
        task: Json = {"data": self.kind.task(self.content, self.order)}
        if draft is not None:
            task["predictions"] = [{"result": self.kind.prediction(self.content, Draft(draft, "m"))}]
        (self.task,) = client.import_tasks(project.remote_id, [task])

    def annotations(self) -> list[Json]:
        return list(self.client.task(self.task)["annotations"])

    def verdict(self) -> Json:
        (annotation,) = self.annotations()
        return self.kind.verdict(annotation["result"], self.content, self.order)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found = chromium(tmp_path_factory.mktemp("profile"))
    if found is None:
        pytest.skip("no chromium or chromedriver here: install Debian's packages chromium and chromium-driver")
    yield found
    found.quit()


@pytest.fixture(scope="session")
def desk(browser: Any, label_studio: LabelStudio) -> Desk:
    """The first annotator's."""
    desk = Desk(browser, label_studio.url)
    desk.log_in(label_studio.annotators[0].email, label_studio.annotators[0].password)
    return desk


@pytest.fixture
def ask(client: Client, tmp_path: Path) -> Iterator[Ask]:
    """Asks one question in a project of its kind, a review of comparisons unless `reviews` says of what;
    `show_instructions` as labellers meet it first."""
    made: list[Project] = []

    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:

        def ask(
            kind: str,
            row: Json,
            draft: str | None = None,
            show_instructions: bool = False,
            reviews: str = "comparisons",
        ) -> Asked:
            if kind == "review":
                made.append(create(database, client, reviews))
            made.append(create(database, client, kind, reviews=reviews if kind == "review" else None))
            client.update_project(made[-1].remote_id, show_instruction=show_instructions)
            return Asked(client, made[-1], row, draft)

        yield ask
    for project in made:
        client.delete_project(project.remote_id)
