"""Makes a project: in Label Studio, with its page and its instructions, and in the store.

The store keeps what it was made with: `labeling.drift` says whether the server still has it.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from labeling.client import Client, LabelStudioError, NotFoundError
from labeling.drift import INTERFACE, deleted, look, settings
from labeling.guide import instructions
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Kind
from labeling.project import REVIEW
from labeling.store.database import Database
from labeling.store.labels import Project, add_project, get_project, projects

SECOND_LOOK = "comparisons"
"""The kind whose choices can be asked for once more, with a model's choice in sight."""

NAME = 50
"""Most characters of a project's name; Label Studio takes no more for a title."""

Say = Callable[[str], None]


class ProjectError(ValueError):
    """A project that can't be made as it was asked for, in one sentence."""


def create(
    database: Database,
    client: Client,
    kind_name: str,
    name: str | None = None,
    overlap: int | None = None,
    reviews: str | None = None,
    say: Say | None = None,
) -> Project:
    """The project of this name (the kind's, where none is given), made where there is none yet.

    `reviews` names the project whose disagreements a `review` decides, or whose comparisons are asked for once more.
    `overlap` is how many people are asked the same; the kind knows what is usual. `say` hears of what looks like left
    by a call that was killed. Raises ProjectError, and LabelStudioError where the server does not take it.
    """
    kind = _kind(database, kind_name, reviews)
    name = name or (kind_name if reviews is None else f"{reviews}-{'review' if kind_name == REVIEW else 'again'}")
    _check(name, overlap, client, None if reviews is None else get_project(database, reviews))
    with suppress(KeyError):
        return _found(database, get_project(database, name), client, kind_name, overlap, reviews)
    told = instructions(kind_name)
    people, title = overlap or kind.overlap, _title(kind, name)
    if say is not None:
        for left in _strange(database, client, title):
            say(
                f"{client.url}/projects/{left} has the same title and no tasks, and is none of this store's; "
                "if an earlier call was cut off and left it, delete it there"
            )
    remote = client.create_project(
        title,
        kind.config(),
        told.html,
        people,
        enable_empty_annotation=kind.untouched,
        **settings(people),
    )
    project = Project(
        name=name,
        kind=kind_name,
        reviews=reviews,
        server=client.url,
        remote_id=remote,
        config=kind.config(),
        instructions=told.markdown,
        instruction_version=told.version,
        overlap=people,
        created=datetime.now(UTC),
    )
    try:
        add_project(database, project)
    except BaseException:
        with suppress(LabelStudioError):
            client.delete_project(remote)  # a project that nobody here knows would only confuse
        raise
    return project


def _kind(database: Database, kind_name: str, reviews: str | None) -> Kind:
    if kind_name not in (*KINDS, REVIEW):
        raise ProjectError(f"no kind {kind_name}; there are {', '.join((*KINDS, REVIEW))}")
    if reviews is None:
        if kind_name == REVIEW:
            raise ProjectError("a review of nothing; name the project whose disagreements it decides")
        return KINDS[kind_name]
    try:
        reviewed = get_project(database, reviews)
    except KeyError as error:
        raise ProjectError(str(error.args[0])) from None
    if kind_name == REVIEW:
        if reviewed.kind == REVIEW:
            raise ProjectError(f"{reviews} decides already; review {reviewed.reviews}, which it decides about")
        return REVIEWS[reviewed.kind]
    if kind_name != SECOND_LOOK or reviewed.kind != SECOND_LOOK:
        raise ProjectError(f"{kind_name} that look again at {reviews}, which are {reviewed.kind}; only comparisons can")
    return KINDS[kind_name]


def _title(kind: Kind, name: str) -> str:
    """What labellers should do, with the project's name where there is room and it says more."""
    full = kind.title if name == kind.name else f"{kind.title} ({name})"
    return full if len(full) <= NAME else name


def _strange(database: Database, client: Client, title: str) -> list[int]:
    """Empty projects of this title that the store does not know, as a call that is killed halfway leaves one."""
    known = {one.remote_id for one in projects(database) if one.server == client.url}
    found = [one for one in client.projects() if one["title"] == title and not one.get("task_number")]
    return [int(one["id"]) for one in found if one["id"] not in known]


def _check(name: str, overlap: int | None, client: Client, reviewed: Project | None) -> None:
    if not name.strip() or len(name) > NAME or not name.isprintable():
        raise ProjectError(f"{name[:NAME]!r} is no name; expected 1 to {NAME} characters on one line")
    if overlap is not None and overlap < 1:
        raise ProjectError(f"an overlap of {overlap}; expected 1 or more people for each task")
    if reviewed is not None and reviewed.server != client.url:
        raise ProjectError(
            f"{reviewed.name} is on {reviewed.server}, and this would be on {client.url}: connect to that server"
        )


def _found(
    database: Database, project: Project, client: Client, kind_name: str, overlap: int | None, reviews: str | None
) -> Project:
    """The project that is there, if it is the one that was asked for."""
    asked = {"kind": kind_name, "reviews": reviews, "server": client.url}
    for what, wanted in asked.items():
        if getattr(project, what) != wanted:
            raise ProjectError(
                f"there is a project {project.name} already, and its {what} is {getattr(project, what)}, not {wanted}; "
                "give this one another name"
            )
    if overlap is not None and overlap != project.overlap:
        raise ProjectError(
            f"{project.name} asks {project.overlap} people for each task already, and not {overlap}; "
            "give this one another name"
        )
    try:
        differs = look(database, client, project.name).differs
    except NotFoundError:
        raise ProjectError(deleted(project)) from None
    if INTERFACE in differs:
        raise ProjectError(differs[INTERFACE])
    return project
