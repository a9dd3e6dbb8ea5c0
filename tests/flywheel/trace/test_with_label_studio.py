"""Traced pages become tasks of a real Label Studio server, and what a person clicks there becomes a block list."""

from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.trace.review import Blocked, Decided, decided, offer, write_block_list
from flywheel.trace.trace import trace
from labeling.kinds import KINDS
from labeling.store.database import Database
from labeling.store.labels import read_samples
from tests.flywheel.rows import NOW
from tests.flywheel.trace.crawl import LEAK, SECRET
from tests.flywheel.trace.test_trace import add_all
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401  fixtures
from tests.labeling.crowd import annotate


@pytest.mark.slow
def test_a_person_confirms_one_page_and_releases_another(
    database: Database,
    config: Config,
    label_studio: LabelStudio,  # noqa: F811
    tmp_path: Path,
) -> None:
    add_all(database)
    trace(database, config, NOW)
    with label_studio.client() as admin, label_studio.client(label_studio.annotators[0]) as person:
        assert offer(database, admin, config).noted == 6
        assert offer(database, admin, config).noted == 0
        with database.read() as session:
            samples = list(read_samples(session, "poison-review"))
        (leak,) = (sample for sample in samples if sample.content["url"] == SECRET)
        assert leak.task_id is not None
        shown = admin.task(leak.task_id)["data"]["text"]
        assert f"⟦1: {LEAK} :1⟧" in shown.replace("\n", " ")
        carrier = next(sample for sample in samples if sample is not leak)
        annotate(person, KINDS["poison-review"], leak, {"decision": "confirm"})
        annotate(person, KINDS["poison-review"], carrier, {"decision": "release"})
        assert offer(database, admin, config).pulled is not None
    assert decided(database, config, NOW) == Decided(confirmed=1, released=1)
    assert write_block_list(database, tmp_path / "blocked.txt") == Blocked(pages=1, copies=1, undecided=4)
