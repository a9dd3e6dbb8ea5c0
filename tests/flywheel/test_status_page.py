"""The standing as a page: what stands on it, and that nobody's text becomes markup."""

import re

from flywheel.status import standing
from flywheel.status_page import render
from flywheel.tables import Cluster
from labeling.store.database import Database
from tests.flywheel.rows import NOW, add_round, misbehaviour


def test_the_page_shows_counts_what_waits_and_the_checkpoint(database: Database) -> None:
    add_round(database)
    with database.write() as session:
        session.add(misbehaviour("01", cluster="a0" * 32))
    page = render(standing(database, NOW))
    assert "<h1>1 wait for sending</h1>" in page
    assert "1 wait for sending, 3 days" in page
    assert "models/f0f0f0 (f0f0f0f0f0f0) since 2026-03-02 11:00 UTC. promote: passed the gate" in page
    assert 'aria-label="0, 0, 0, 0, 0, 0, 0, 4"' in page


def test_an_empty_loop_has_a_page(database: Database) -> None:
    page = render(standing(database, NOW))
    assert "<h1>Nothing waits</h1>" in page
    assert "no checkpoint was promoted yet" in page


def test_a_cluster_s_name_is_text_and_nothing_loads(database: Database) -> None:
    with database.write() as session:
        session.add(Cluster(id="k", name="<img src=x onerror=alert(1)> \u202eeggs", made=NOW))
    page = render(standing(database, NOW))
    assert "&lt;img src=x onerror=alert(1)&gt; [U+202E]eggs" in page
    assert not re.search(r"<(img|script)|https?://", page)
