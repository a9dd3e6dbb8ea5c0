"""Pages that were sent to people wait for them until somebody has said whether they are poison."""

from datetime import timedelta
from pathlib import Path

from flywheel.config import Config
from flywheel.status.lines import told
from flywheel.status.page import render
from flywheel.status.reviews import reviews
from flywheel.status.stages import Wait
from flywheel.status.standing import standing
from labeling.kinds import KINDS
from labeling.quality.simulate import annotation, project
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import StoredSample, add_project, add_samples, put_annotations
from tests.flywheel.rows import HOUR, NOW

PROJECT = "poison-review"


def sent(number: int, hours: float) -> StoredSample:
    row = {"document": f"{number:032}", "text": "A page.", "url": f"https://site{number}.example/"}
    sample = make_sample(KINDS[PROJECT], row, {})
    at = NOW - hours * HOUR
    more = {
        "gold": None,
        "draft": None,
        "draft_model": None,
        "priority": 0.0,
        "added": at,
        "provenance": {},
        "order": (),
    }
    return StoredSample(id=sample.id, content=sample.content, sent=at, task_id=number, **more)  # type: ignore[arg-type]


def test_pages_wait_until_somebody_has_looked_at_them(database: Database, tmp_path: Path) -> None:
    with database.read() as session:
        assert reviews(session, PROJECT) is None
    add_project(database, project(PROJECT, PROJECT))
    pages = [sent(number, hours) for number, hours in enumerate((30, 20, 10), 1)]
    add_samples(database, PROJECT, pages)
    said = annotation(1, pages[0].id, "amber", {"decision": "confirm"}, 20.0)
    with database.write() as session:
        put_annotations(session, PROJECT, [said])
    with database.read() as session:
        assert reviews(session, PROJECT) == Wait(2, "people who review pages", NOW - timedelta(hours=20))
    found = standing(database, Config(folder=tmp_path), NOW)
    assert "pages    2 wait for people who review pages, up to 20 h" in told(found)
    assert "2 wait for people who review pages" in render(found)
