"""What people said of traced pages, as rows of a store: what Label Studio would have brought there."""

from flywheel.tables import TracedPage
from labeling.kinds import KINDS
from labeling.quality.simulate import annotation, project, stored
from labeling.store.database import Database
from labeling.store.labels import add_project, add_samples, get_project, put_annotations
from tests.flywheel.rows import NOW

KIND = "poison-review"


def say(database: Database, page: TracedPage, decision: str | None, overlap: int = 1) -> None:
    """One person's verdict on a page, in the place of the one before; None: deleted."""
    try:
        get_project(database, KIND)
    except KeyError:
        add_project(database, project(KIND, KIND, overlap))
    content = {"document": page.document, "url": page.url, "text": page.text, "findings": []}
    number = int(page.id[:6], 16)
    sample = stored(KIND, KINDS[KIND].content(content), task_id=number, sent=NOW)
    add_samples(database, KIND, [sample])
    verdict = None if decision is None else {"decision": decision}
    with database.write() as session:
        said = annotation(number, sample.id, "amber", verdict, reason=None if verdict else "deleted")
        put_annotations(session, KIND, [said])
        session.get_one(TracedPage, page.id).sample = sample.id
