"""A store restored from an older copy, while runs, verdicts and `current.json` are newer."""

import hashlib
import shutil
from pathlib import Path

import pytest

from flywheel.config import Config, load
from labeling.folder import Connection, Folder
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import get_project, read_samples
from tests.flywheel.round import GOOD, correct, make_loop
from tests.flywheel.rows import DAY, HOUR, NOW
from tests.flywheel.survive.conftest import ORDER, TIMES, Undisturbed
from tests.flywheel.survive.harness import came_to, copied, take
from tests.flywheel.survive.people import report_more
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401
from tests.labeling.crowd import annotate
from trainer.pointer import read_pointer

pytestmark = pytest.mark.slow


def restored(undisturbed: Undisturbed, step: str, folder: Path) -> Config:
    """The loop at its end, but for the store, which is of the time before the step."""
    config = copied(undisturbed.end, folder)
    for path in config.folder.glob("store.sqlite*"):
        path.unlink()
    shutil.copy(undisturbed.before[step].folder / "store.sqlite", config.folder)
    return config


def files(config: Config) -> dict[str, str]:
    """What runs left on the disk, but for locks."""
    return {
        str(path.relative_to(config.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(config.runs.rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.mark.parametrize("step", [step for step in ORDER if step != "decide"])  # it is like the one after
def test_a_store_from_a_backup_of_before_a_step(step: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = restored(undisturbed, step, tmp_path / "loop")
    wanted, left = came_to(undisturbed.end), files(undisturbed.end)
    live = read_pointer(config.current).id
    if step == "collect":
        assert take("collect", config, NOW + HOUR)
        with Database(config.store) as database:
            correct(database, NOW + 2 * HOUR)  # they are still in Label Studio, from which they come again
    for days in (1, 9):
        assert take("tick", config, NOW + days * DAY)
        assert read_pointer(config.current).id == live, "people talk to an older checkpoint"
    found = came_to(config)
    for name in ("misbehaviours", "clusters", "corrections"):
        assert found[name] == wanted[name]
    # What was promoted is known again as that, and nothing of what runs have left was changed.
    assert found["promotions"][-1][2] == live
    assert left.items() <= files(config).items()
    assert all(run[3] in ("promoted", "refused") for run in found["runs"])
    before = came_to(config)
    assert take("tick", config, NOW + 20 * DAY)
    assert came_to(config) == before


def test_what_people_were_asked_and_have_said_since_the_backup_is_known_again(
    model: Path,
    label_studio: LabelStudio,  # noqa: F811
    tmp_path: Path,
) -> None:
    config = make_loop(tmp_path / "loop", model, reported=10)
    Folder(config.labels, config.store).save_connection(Connection(label_studio.url, label_studio.admin.token))
    assert take("collect", config, NOW)
    assert take("label", config, NOW)
    with Database(config.store) as database:
        report_more(database, 5)
    assert take("collect", config, NOW + HOUR)
    shutil.copy(config.folder / "store.sqlite", tmp_path / "yesterday")
    assert take("label", config, NOW + HOUR)
    with Database(config.store) as database, database.read() as session:
        samples = list(read_samples(session, config.label.project))
    said = {"category": "wrong", "answer": GOOD, "refusal": "none"}
    for person in label_studio.annotators[:2]:
        with label_studio.client(person) as client:
            for sample in samples:
                annotate(client, KINDS["corrections"], sample, said)
    assert take("label", config, NOW + DAY)
    wanted = came_to(config)
    for path in config.folder.glob("store.sqlite*"):
        path.unlink()
    shutil.copy(tmp_path / "yesterday", config.folder / "store.sqlite")

    assert take("label", config, NOW + DAY)

    with Database(config.store) as database, label_studio.client() as client:
        there = get_project(database, config.label.project).remote_id
        assert len(list(client.tasks(there, with_annotations=False))) == len(samples) == 15
    found = came_to(config)
    assert found == wanted
    assert len(found["labels"]) == 30
    assert take("admit", config, NOW + DAY)
    assert len(came_to(config)["corrections"]) == sum(not held_out for _, _, held_out, _ in found["misbehaviours"])


def test_a_folder_that_is_moved_goes_on(undisturbed: Undisturbed, tmp_path: Path) -> None:
    config = copied(undisturbed.before["promote"], tmp_path / "one")
    assert take("promote", config, TIMES["promote"])
    config.folder.rename(tmp_path / "two")
    moved = load(tmp_path / "two")
    assert take("tick", moved, TIMES["promote"] + 9 * DAY)
    found, wanted = came_to(moved), came_to(undisturbed.end)
    for name in ("runs", "verdicts", "promotions", "current", "checkpoints"):
        assert found[name] == wanted[name]
