"""The standing as a page: what stands on it, and that nobody's text becomes markup."""

import json
import re
from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.status.page import render, write
from flywheel.status.standing import standing
from flywheel.tables import Cluster, Measurement
from labeling.store.database import Database
from tests.flywheel.rows import HOUR, NOW, add_round, misbehaviour


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


def page(database: Database, config: Config) -> str:
    return render(standing(database, config, NOW))


def test_the_page_shows_counts_what_waits_and_the_checkpoint(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        session.add(misbehaviour("01", cluster="a0" * 32))
        session.add(misbehaviour("02", cluster="a0" * 32, sample="s2"))
    found = page(database, config)
    assert "<h1>1 waits for people, for 3 days</h1>" in found
    assert "1 waits for sending, for 3 days" in found
    assert "<code>f0f0f0f0f0f0</code> models/f0f0f0<small>for 60 min; promote: passed the gate</small>" in found
    assert 'aria-label="0, 0, 0, 0, 0, 0, 0, 5"' in found
    assert "answers now" in found


def test_an_empty_loop_has_a_page(database: Database, config: Config) -> None:
    found = page(database, config)
    assert "<h1>Nothing waits</h1>" in found
    assert "nothing was promoted yet" in found


def test_what_waits_for_machines_alone_is_no_headline(database: Database, config: Config) -> None:
    with database.write() as session:
        session.add(misbehaviour("01"))
    assert "<h1>Nothing waits for people</h1>" in page(database, config)


def test_each_group_with_a_rate_has_a_plot(database: Database, config: Config) -> None:
    add_round(database)
    with database.write() as session:
        for number, (group, name) in enumerate([("a0" * 32, "eggs"), ("attacks", "the red team's attacks")]):
            values = {"made": NOW - HOUR, "checkpoint_id": "f0" * 32, "name": name, "cases": 20, "bad": 5}
            session.add(Measurement(id=str(number), group=group, **values))
    found = page(database, config)
    assert found.count('class="rates"') == 2
    assert "<h3>eggs</h3><p><b>25% bad of 20 cases</b></p>" in found
    assert "<h3>the red team&#x27;s attacks</h3>" in found


def test_names_alerts_and_reasons_are_text_and_nothing_loads(database: Database, config: Config) -> None:
    add_round(database)
    bad = "<img src=x onerror=alert(1)> \u202eeggs"
    alert = {"at": bad, "dag": bad, "task": bad, "what": bad}
    (config.folder / "alerts.jsonl").write_text(f"{json.dumps(alert)}\n{bad}\n")
    with database.write() as session:
        session.add(Cluster(id="k", name=bad, made=NOW))
        values = {"made": NOW, "checkpoint_id": bad, "group": "k", "name": bad, "cases": 2, "bad": 1}
        session.add(Measurement(id="m", **values))
    found = page(database, config)
    assert found.count("&lt;img src=x onerror=alert(1)&gt; [U+202E]eggs") >= 6
    assert not re.search(r"<(img|script)|https?://", found)


def test_it_is_for_its_owner_alone(database: Database, config: Config) -> None:
    add_round(database)
    path = config.folder / "status.html"
    write(path, standing(database, config, NOW))
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o600, page(database, config))
