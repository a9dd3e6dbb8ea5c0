"""What somebody changed about a project in Label Studio's interface: its page, its instructions, its settings.

Label Studio's community edition knows no roles: any annotator can change them. The store keeps what the project was
made with: what a label means, and which instructions it was made under, is known only while the server has the same.
"""

from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

from labeling.client import Client, NotFoundError
from labeling.cursor import Cursor
from labeling.guide import parse
from labeling.kinds.kind import Json
from labeling.store.database import Database
from labeling.store.labels import Project, ProjectRow, get_project

INTERFACE, INSTRUCTIONS, SETTINGS = "interface", "instructions", "settings"

UNKNOWN_VERSION = 0
"""Of the instructions that a label was made under while they were changed in Label Studio."""

BLIND = {
    "show_collab_predictions": True,  # drafts reach their box this way
    "show_annotation_history": False,
    "show_ground_truth_first": False,
    "show_overlap_first": False,
    "sampling": "Sequential sampling",
}
"""Nothing that tells a labeller which tasks are known or what others said; the page hides the tabs that would."""


def settings(overlap: int) -> Json:
    """Label Studio's own fields of a project, as it is made."""
    return BLIND | {"show_instruction": True, "maximum_annotations": overlap}


@dataclass(frozen=True)
class Look:
    """What was found otherwise than it was made, each part with a sentence, and when; by Label Studio's clock."""

    differs: dict[str, str]
    now: datetime


def look(database: Database, client: Client, name: str) -> Look:
    """Looks at a project, and notes when a change of its page or its instructions begins and ends.

    Raises KeyError for an unknown project, NotFoundError for one that was deleted in Label Studio, LabelStudioError,
    StoreError.
    """
    project, now = get_project(database, name), client.now()
    differs = differences(project, client.project(project.remote_id))
    noted = differs.keys() & {INTERFACE, INSTRUCTIONS}
    before = Cursor.load(project.cursor)
    if before.noticing(noted, now) != before:
        with database.write() as session:
            row = session.get_one(ProjectRow, name)
            row.cursor = Cursor.load(row.cursor).noticing(noted, now).dump()
    return Look(differs, now)


def drift(client: Client, project: Project) -> str | None:
    """What was changed about the project, a line for each part; None if nothing."""
    try:
        remote = client.project(project.remote_id)
    except NotFoundError:
        return deleted(project)
    return "\n".join(differences(project, remote).values()) or None


def deleted(project: Project) -> str:
    return f"{project.name}: its project in Label Studio ({project.remote_id}) was deleted; create it anew"


def differences(project: Project, remote: Json) -> dict[str, str]:
    """The parts of `remote`, the project as Label Studio has it, that are otherwise than made; each with a sentence."""
    found: dict[str, str] = {}
    where = f"{project.server}/projects/{project.remote_id}/settings"
    if _canonical(str(remote.get("label_config"))) != _canonical(project.config):
        found[INTERFACE] = (
            f"{project.name}: its labelling configuration was changed in Label Studio ({where}/labeling), and labels "
            "that were made meanwhile do not count; restore the one that it was created with and pull at once, or "
            "create another project"
        )
    told = parse(f"version: {project.instruction_version}\n{project.instructions}", "", project.name).html
    if _words(str(remote.get("expert_instruction") or "")) != _words(told):
        found[INSTRUCTIONS] = (
            f"{project.name}: its instructions were changed in Label Studio ({where}), and labels that were made "
            f"meanwhile have version {UNKNOWN_VERSION} of them; restore those of version "
            f"{project.instruction_version} and pull at once, or create another project"
        )
    made = settings(project.overlap)
    changed = [
        f"{name} is {remote.get(name)}, not {value}" for name, value in made.items() if remote.get(name) != value
    ]
    if changed:
        found[SETTINGS] = f"{project.name}: its settings were changed in Label Studio ({where}): {', '.join(changed)}"
    return found


def _canonical(config: str) -> str:
    """The XML without what makes no difference; an XML that can't be read is what it is."""
    try:
        return ElementTree.canonicalize(config, strip_text=True)
    except ElementTree.ParseError:
        return config


def _words(html: str) -> str:
    """The text without tags and spaces: the server takes out some tags, and the interface sets lines anew."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join("".join(reader.texts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
