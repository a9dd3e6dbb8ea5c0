"""What a real server samples is asked again by the evaluation and found by the monitors, with one option set."""

import json
import time
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sql

from flywheel.collect import Collected, collect
from flywheel.evaluate import evaluate
from flywheel.promote import begin
from flywheel.sampled import RESAMPLED, TRAFFIC
from flywheel.tables import Misbehaviour
from labeling.store.database import Database
from tests.flywheel.models import BLUE, COLOUR, colours, settings, taught
from tests.flywheel.rows import HOUR, NOW
from tests.trainer.talk.serve.conftest import serving
from trainer.checkpoint import read_about

LEAKS, LOOPS = "who can help", "how does it go"
ADDRESS = "anna@example.com"


@pytest.mark.slow
def test_what_a_served_model_gives_away_and_repeats_is_collected_from_its_traffic(
    database: Database, tmp_path: Path
) -> None:
    model = taught(tmp_path / "model", {**colours(BLUE), LEAKS: f"ask {ADDRESS}", LOOPS: "so " * 15 + "so"}, 150)
    config = settings(tmp_path, max_tokens=48)
    begin(database, config, model, NOW)
    file, ordinary = tmp_path / TRAFFIC, COLOUR.format("apple")
    options = ("--traffic", str(file), "--traffic-share", "1")
    with serving(config.current, tmp_path / "store.sqlite", *options) as served:
        for text in (LEAKS, LOOPS, ordinary):
            body = {"messages": [{"role": "user", "content": text}], "temperature": 0, "stream": text == LOOPS}
            assert httpx.post(served.url + "/v1/chat/completions", json=body, timeout=60).status_code == 200
        end = time.monotonic() + 60
        while file.read_text().count("\n") < 3 and time.monotonic() < end:
            time.sleep(0.05)
    again = list(evaluate(database, config, NOW))
    assert [str(one) for one in again] == ["sampled questions, asked again: 0 of 3 bad, 0% (0% to 56%)"]

    assert collect(database, config, NOW) == Collected({"monitor": 2}, 0, 2, ())
    with database.read() as session:
        found = {row.source_ref: row for row in session.scalars(sql.select(Misbehaviour))}
        session.expunge_all()
    assert {monitor: row.prompt[0]["content"] for monitor, row in found.items()} == {
        "personal data": LEAKS,
        "repetition": LOOPS,
    }
    assert {row.checkpoint_id for row in found.values()} == {read_about(model).id}
    assert not any(row.consent for row in found.values())
    asked = [json.loads(line) for line in (tmp_path / RESAMPLED).read_text().splitlines()]
    assert sorted(len(row["resamples"]) for row in asked) == [4, 4, 4]
    assert not any(ADDRESS in path.read_text() for path in (file, tmp_path / RESAMPLED))
    assert collect(database, config, NOW + HOUR) == Collected({}, 2, 0, ())
