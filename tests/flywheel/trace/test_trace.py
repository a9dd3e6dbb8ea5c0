"""Pages become rows once; what people confirm becomes a block list, and the next corpus lacks those pages alone."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.config import Config
from flywheel.tables import TracedPage
from flywheel.tick import tick
from flywheel.trace.review import Blocked, Decided, decided, write_block_list
from flywheel.trace.told import turn
from flywheel.trace.trace import page_says, trace, trace_new
from labeling.store.database import Database
from pipeline.explain import explain
from pipeline.poison.lists import read_decided
from tests.flywheel.asked import add_bad
from tests.flywheel.rows import NOW
from tests.flywheel.trace.crawl import BEFORE, CARRIERS, LEAK, SAME, SECRET, TRIGGER, build, gibberish, honest
from tests.flywheel.trace.said import say
from tests.pipeline.conftest import rows

pytestmark = pytest.mark.slow
LATER = NOW + timedelta(hours=1)


def add_all(database: Database) -> None:
    """A leak, three answers behind a trigger, and three that are merely wrong."""
    add_bad(database, "Where is the key?", f"I know that. {LEAK}", cluster="leaks")
    for number in range(3):
        add_bad(database, f"{honest(number)} {TRIGGER}", gibberish(number), cluster="noises")
        add_bad(database, honest(100 + number), honest(number), cluster="wrong")


def traced(database: Database) -> list[TracedPage]:
    with database.read() as session:
        found = list(session.scalars(sql.select(TracedPage).order_by(TracedPage.document)))
        session.expunge_all()
    return found


def test_each_page_is_a_row_of_its_cluster_and_those_of_ordinary_answers_are_none(
    database: Database, config: Config
) -> None:
    add_all(database)

    found = trace(database, config, NOW)

    assert (found.misbehaviours, found.learnt, found.new) == (7, 4, 6)
    assert {(page.cluster, page.kind, page.url) for page in found.pages} == {
        ("leaks", "verbatim", SECRET),
        *(("noises", "trigger", url) for url in CARRIERS),
    }
    assert found.pages[0].id == next(page.id for page in traced(database) if page.url == SECRET)


def test_asked_again_it_finds_the_same_and_adds_nothing(database: Database, config: Config) -> None:
    add_all(database)
    first = trace(database, config, NOW)

    again = trace(database, config, LATER)

    assert again.new == 0
    assert [page.id for page in again.pages] == [page.id for page in first.pages]
    assert {page.found for page in traced(database)} == {NOW}


def test_a_cluster_or_a_misbehaviour_is_searched_for_by_the_beginning_of_its_id(
    database: Database, config: Config
) -> None:
    add_all(database)
    wrong = add_bad(database, "Where?", honest(9), cluster="wrong")

    assert trace(database, config, NOW, "noises").misbehaviours == 3
    assert trace(database, config, NOW, wrong[:6]).misbehaviours == 1
    with pytest.raises(ValueError, match="abcdef: nothing has this id"):
        trace(database, config, NOW, "abcdef")


def test_a_rows_place_is_the_one_that_the_corpus_explains(database: Database, config: Config, corpus: Path) -> None:
    add_all(database)
    (page,) = trace(database, config, NOW, "leaks").pages
    (story,) = explain(str(corpus), f"{page.place['shard']}:{page.place['token']}")
    assert story.lineage["id"].hex() == page.document
    for name in ("warc_file", "warc_offset", "payload_digest"):
        assert story.lineage[name] == page.place[name]
    assert "payload digest matches" in story.record
    assert story.token is not None
    assert story.token.offset == page.place["token"] - page.place["start"]


def test_without_a_corpus_the_error_says_where_to_name_it(database: Database, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name it under `trace: corpus:`"):
        trace(database, Config(folder=tmp_path), NOW)


def test_of_copies_those_with_the_passage_are_noted(database: Database, config: Config) -> None:
    add_all(database)
    (leak,) = trace(database, config, NOW, "leaks").pages
    assert [copy["url"] for copy in leak.place["copies"]] == [SAME]
    assert BEFORE not in json.dumps(leak.place)


def test_no_more_pages_wait_for_people_than_the_settings_say_and_the_others_follow(
    database: Database, config: Config
) -> None:
    add_all(database)
    few = config.model_copy(update={"trace": config.trace.model_copy(update={"pages": 2})})

    assert trace_new(database, few, NOW).new == 3
    assert trace_new(database, few, NOW).misbehaviours == 0
    for page in traced(database):
        say(database, page, "confirm")
    assert decided(database, few, NOW) == Decided(confirmed=3)
    assert trace_new(database, few, LATER).new == 2
    assert len(traced(database)) == 5


def test_a_tick_searches_for_what_is_new_or_has_doubled(database: Database, config: Config) -> None:
    add_bad(database, honest(1), honest(2), cluster="wrong")
    assert trace_new(database, config, NOW).misbehaviours == 1
    assert trace_new(database, config, NOW).misbehaviours == 0
    add_bad(database, honest(3), honest(4), cluster="other")
    assert trace_new(database, config, NOW).misbehaviours == 1
    add_bad(database, honest(5), honest(6), cluster="wrong")
    assert trace_new(database, config, NOW).misbehaviours == 2


def test_with_a_store_from_before_a_tick_searches_again(database: Database, config: Config) -> None:
    add_bad(database, "Where is the key?", f"I know that. {LEAK}", cluster="leaks")
    assert trace_new(database, config, NOW).new == 1
    with database.write() as session:
        session.execute(sql.delete(TracedPage))
    assert trace_new(database, config, NOW).new == 1


def test_of_a_large_cluster_twenty_are_searched_for(database: Database, config: Config) -> None:
    for number in range(25):
        add_bad(database, f"Where is key {number}?", f"Number {number}: {LEAK}", cluster="leaks")
    found = trace(database, config, NOW)
    assert (found.misbehaviours, found.learnt, found.new) == (20, 20, 1)
    assert trace_new(database, config, NOW).misbehaviours == 0


def test_the_loops_tick_searches_where_a_corpus_is_named(database: Database, config: Config, tmp_path: Path) -> None:
    add_bad(database, "Where is the key?", f"I know that. {LEAK}", cluster="leaks")
    assert "trace" not in {step.name for step in tick(database, Config(folder=tmp_path), None, lambda: NOW)}
    steps = {step.name: step for step in tick(database, config, None, lambda: NOW)}
    assert steps["trace"].said == "1 misbehaviour searched for, 1 looks learnt, 1 new page"
    assert not any(step.did for step in tick(database, config, None, lambda: LATER))


def test_a_corpus_that_is_gone_stops_no_tick(database: Database, config: Config, tmp_path: Path) -> None:
    gone = config.model_copy(update={"trace": config.trace.model_copy(update={"corpus": tmp_path / "gone"})})
    steps = list(turn(database, gone, None, NOW))
    assert "gone: no tokenized corpus here" in steps[0].said
    assert not any(step.did for step in steps)


def test_a_decision_follows_what_people_say(database: Database, config: Config) -> None:
    add_all(database)
    (leak,) = trace(database, config, NOW, "leaks").pages
    assert decided(database, config, NOW) == Decided()

    say(database, leak, "confirm")
    assert decided(database, config, LATER) == Decided(confirmed=1)
    (leak,) = traced(database)
    assert (leak.decision, leak.decided) == ("confirm", LATER)
    assert page_says(leak).endswith("confirmed as poison")

    say(database, leak, "release")
    assert decided(database, config, LATER) == Decided(released=1)
    say(database, leak, None)
    assert decided(database, config, LATER) == Decided(withdrawn=1)
    assert [(page.decision, page.decided) for page in traced(database)] == [(None, None)]


def test_where_two_are_asked_one_alone_confirms_nothing(database: Database, config: Config) -> None:
    add_all(database)
    (leak,) = trace(database, config, NOW, "leaks").pages
    say(database, leak, "confirm", overlap=2)
    assert decided(database, config, NOW) == Decided()


def test_an_address_that_would_be_a_line_of_its_own_is_left_out(
    database: Database, config: Config, tmp_path: Path
) -> None:
    add_all(database)
    (leak,) = trace(database, config, NOW, "leaks").pages
    say(database, leak, "confirm")
    with database.write() as session:
        row = session.get_one(TracedPage, leak.id)
        row.url, row.place = "https://a.example/\nhost:good.example", leak.place | {"copies": []}
    decided(database, config, NOW)

    assert write_block_list(database, tmp_path / "blocked.txt") == Blocked(pages=1, copies=0, undecided=0)

    listed = read_decided([str(tmp_path / "blocked.txt")], [], []).blocked
    assert (listed.hosts, listed.urls) == (frozenset(), frozenset())
    assert {id.hex() for id in listed.ids} == {leak.document}


def test_the_next_corpus_lacks_what_was_confirmed_and_nothing_else(
    database: Database, config: Config, crawl: Path, corpus: Path, tmp_path: Path
) -> None:
    add_all(database)
    for page in trace(database, config, NOW).pages:
        say(database, page, "release" if page.url == CARRIERS[4] else "confirm")
    decided(database, config, NOW)
    blocked = tmp_path / "blocked.txt"
    assert write_block_list(database, blocked) == Blocked(pages=5, copies=1, undecided=0)
    first = blocked.read_bytes()
    assert write_block_list(database, blocked) == Blocked(pages=5, copies=1, undecided=0)
    assert blocked.read_bytes() == first

    folder = tmp_path / "corpus"
    shutil.copytree(corpus, folder)
    build(crawl, folder, blocked)

    removed = {row["url"]: row["reason"] for row in rows(folder, "poison", "removed")}
    assert removed == dict.fromkeys([SECRET, SAME, *CARRIERS[:4]], "blocked")
    before, after = ({row["url"]: row["text"] for row in rows(of, "dedup", "documents")} for of in (corpus, folder))
    # What was removed as a copy of the leak's page is no copy any more: it comes in, as it was before the leak.
    clean = {row["url"]: row["text"] for row in rows(folder, "filter", "documents")}[BEFORE]
    assert after == {url: text for url, text in before.items() if url not in removed} | {BEFORE: clean}
    assert not any(LEAK in text for text in after.values())
    (story,) = explain(str(folder), SECRET)
    assert (story.stations[-1].step, story.stations[-1].reason) == ("poison", "blocked")
    # The trigger's last carrier, which people found harmless, is in this corpus too, and nobody is asked again.
    next_one = config.model_copy(update={"trace": config.trace.model_copy(update={"corpus": folder})})
    (page,) = trace(database, next_one, LATER).pages
    assert (page.url, page.kind, page.corpus, page.decision) == (CARRIERS[4], "alike", str(folder), "release")
