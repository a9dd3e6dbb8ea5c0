"""Makes a project: in Label Studio, with its page and its instructions, and in the store.

Label Studio's community edition knows no roles: any annotator can change a project's page in its settings. So the store
keeps the configuration that results are judged by, and `drift` says whether the server still has it.
"""

from contextlib import suppress
from datetime import UTC, datetime
from xml.etree import ElementTree

from labeling.client import Client, LabelStudioError, NotFoundError
from labeling.guide import instructions
from labeling.kinds import KINDS, REVIEWS
from labeling.kinds.kind import Kind
from labeling.project import REVIEW
from labeling.store.database import Database
from labeling.store.labels import Project, add_project, get_project

SECOND_LOOK = "comparisons"
"""The kind whose choices can be asked for once more, with a model's choice in sight."""

NAME = 50
"""Most characters of a project's name; Label Studio takes no more for a title."""

BLIND = {
    "show_collab_predictions": True,  # drafts reach their box this way
    "show_annotation_history": False,
    "show_ground_truth_first": False,
    "show_overlap_first": False,
    "sampling": "Sequential sampling",
}
"""Nothing that tells a labeller which tasks are known or what others said; the page hides the tabs that would."""


class ProjectError(ValueError):
    """A project that can't be made as it was asked for, in one sentence."""


def create(
    database: Database,
    client: Client,
    kind_name: str,
    name: str | None = None,
    overlap: int | None = None,
    reviews: str | None = None,
) -> Project:
    """The project of this name (the kind's, where none is given), made where there is none yet.

    `reviews` names the project whose disagreements a `review` decides, or whose comparisons are asked for once more.
    `overlap` is how many people are asked the same; the kind knows what is usual. Raises ProjectError, and
    LabelStudioError where the server does not take it.
    """
    kind = _kind(database, kind_name, reviews)
    name = name or (kind_name if reviews is None else f"{reviews}-{'review' if kind_name == REVIEW else 'again'}")
    _check(name, overlap, client, None if reviews is None else get_project(database, reviews))
    with suppress(KeyError):
        return _found(get_project(database, name), client, kind_name, overlap, reviews)
    told = instructions(kind_name)
    people = overlap or kind.overlap
    blind = BLIND | {"enable_empty_annotation": kind.untouched}
    remote = client.create_project(
        _title(kind, name), kind.config(), told.html, people, show_instructions=True, **blind
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


def drift(client: Client, project: Project) -> str | None:
    """What somebody changed about the project's page in Label Studio's interface, in one sentence; None if nothing."""
    try:
        remote = client.project(project.remote_id)
    except NotFoundError:
        return f"{project.name}: its project in Label Studio ({project.remote_id}) was deleted; create it anew"
    if _canonical(str(remote.get("label_config"))) == _canonical(project.config):
        return None
    where = f"{project.server}/projects/{project.remote_id}/settings/labeling"
    return (
        f"{project.name}: its labelling configuration was changed in Label Studio ({where}), and results are judged by "
        "the one that it was created with; restore that, or create another project"
    )


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


def _check(name: str, overlap: int | None, client: Client, reviewed: Project | None) -> None:
    if not name.strip() or len(name) > NAME or not name.isprintable():
        raise ProjectError(f"{name[:NAME]!r} is no name; expected 1 to {NAME} characters on one line")
    if overlap is not None and overlap < 1:
        raise ProjectError(f"an overlap of {overlap}; expected 1 or more people for each task")
    if reviewed is not None and reviewed.server != client.url:
        raise ProjectError(
            f"{reviewed.name} is on {reviewed.server}, and this would be on {client.url}: connect to that server"
        )


def _found(project: Project, client: Client, kind_name: str, overlap: int | None, reviews: str | None) -> Project:
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
    if changed := drift(client, project):
        raise ProjectError(changed)
    return project


def _canonical(config: str) -> str:
    """The XML without what makes no difference; an XML that can't be read is what it is."""
    try:
        return ElementTree.canonicalize(config, strip_text=True)
    except ElementTree.ParseError:
        return config
