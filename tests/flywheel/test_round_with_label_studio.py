"""From reports to a promoted checkpoint with nobody touching the loop but two people on a real Label Studio server."""

import random
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.explain.explain import explain
from flywheel.tables import Misbehaviour
from flywheel.tick import Step, tick
from labeling.client import Client
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import StoredSample, read_samples
from tests.flywheel.round import GOOD, REPORTED, make_loop, write_bad_model
from tests.flywheel.rows import DAY, HOUR, NOW
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401  fixtures
from tests.labeling.crowd import annotate
from trainer.pointer import read_pointer

VERDICT = {"category": "wrong", "answer": GOOD, "refusal": "none"}


def samples(database: Database) -> list[StoredSample]:
    with database.read() as session:
        return list(read_samples(session, "corrections"))


def learnt(database: Database, sent: list[StoredSample]) -> list[StoredSample]:
    """Those that are no cases."""
    with database.read() as session:
        query = sql.select(Misbehaviour.sample).where(sql.not_(Misbehaviour.held_out))
        taught = set(session.scalars(query))
    return [sample for sample in sent if sample.id in taught]


@pytest.mark.slow
def test_ticks_and_two_people_mend_what_was_reported(label_studio: LabelStudio, tmp_path: Path) -> None:  # noqa: F811
    config = make_loop(tmp_path / "loop", write_bad_model(tmp_path))
    bad, draw = read_pointer(config.current).id, random.Random(0)

    def turn(database: Database, client: Client, hours: int) -> dict[str, Step]:
        return {step.name: step for step in tick(database, config, client, lambda: NOW + hours * HOUR)}

    with Database(config.store) as database, label_studio.client() as admin:
        asked = turn(database, admin, 1)
        sent = samples(database)
        assert asked["label"].said == f"{len(sent)} sent, 0 new labels, 0 changed"
        assert not turn(database, admin, 2)["label"].did
        assert read_pointer(config.current).id == bad
        for person in label_studio.annotators[:2]:
            with label_studio.client(person) as client:
                for sample in sent:
                    annotate(client, KINDS["corrections"], sample, VERDICT, seconds=20 + 10 * draw.random())
        mended = turn(database, admin, 3)
        assert mended["label"].said == f"0 sent, {2 * len(sent)} new labels, 0 changed"
        assert mended["promote"].did
        better = read_pointer(config.current).id
        assert better != bad
        told = [fact for _, fact in explain(database, config, better, NOW).came_from]
        taught = learnt(database, sent)
        assert 0 < len(taught) < len(sent) == REPORTED, "people are asked about cases too"
        assert sum(fact.kind == "report" for fact in told) == len(taught)
        assert {fact.says for fact in told if fact.kind == "sample"} == {
            f"task {sample.task_id} of corrections" for sample in taught
        }
        assert not any(step.did for step in turn(database, admin, round(9 * DAY / HOUR)).values())
