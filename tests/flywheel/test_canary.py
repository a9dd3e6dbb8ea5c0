"""A canary from its beginning to its end, and when people's reports end it."""

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from flywheel.canary import Tally, began
from flywheel.config import Config, Promote
from flywheel.decide import AT_WORK
from flywheel.live import Live, live
from flywheel.promote import _look, begin, canary_tally, promote, rollback
from flywheel.settle import settle
from flywheel.tables import Promotion, Run
from flywheel.tick import tick
from labeling.client import Client
from labeling.quality.simulate import project
from labeling.store.database import Database
from labeling.store.labels import add_project
from labeling.store.reports import Report, add_report
from tests.flywheel.models import settings, state
from tests.flywheel.promotions import add_passed, current, forget, history, id_of
from tests.flywheel.rows import DAY, HOUR, NOW
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find
from trainer.pointer import Canary, Pointer, read_pointer, write_pointer


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("three")
    return [find(write_model(folder / name, seed)) for seed, name in enumerate("abc")]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path).model_copy(update={"promote": Promote(canary=0.1)})


@pytest.fixture
def out(database: Database, config: Config, three: list[Path]) -> str:
    """A loop with a canary that has just begun; the canary's id."""
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    found = promote(database, config, NOW)
    assert found is not None
    assert (found.action, found.share, found.new) == ("canary", 0.1, True)
    return found.checkpoint_id


def canary(config: Config) -> Canary | None:
    return read_pointer(config.current).canary


def complain(database: Database, checkpoint: str, count: int, question: str = "question", **more: Any) -> None:
    for number in range(count):
        asked = [{"role": "user", "content": f"{question} {number}"}, {"role": "assistant", "content": "no"}]
        values: dict[str, Any] = {"category": "wrong", "created": NOW + HOUR}
        add_report(database, Report(checkpoint, asked, **(values | more)))


def test_a_passed_run_answers_a_share_before_it_takes_over(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    assert current(config) == id_of(three[0])
    tried = canary(config)
    assert tried is not None
    assert (tried.id, tried.share) == (id_of(three[1]), 0.1)
    assert tried.folder.resolve() == three[1].resolve()
    assert state(database, "run") == "canary"
    assert "canary" in AT_WORK  # no other run is begun beside it


def test_until_its_hours_are_over_it_is_only_looked_at(database: Database, config: Config, out: str) -> None:
    found = promote(database, config, NOW + 23 * HOUR)
    assert found is not None
    assert (found.action, found.new) == ("canary", False)
    assert found.reason == ("0 of 0 reported conversations are its own, and 10% its share; it takes over in 1.0 hours")
    assert len(history(database)) == 2


def test_after_its_hours_it_takes_over(database: Database, config: Config, three: list[Path], out: str) -> None:
    found = promote(database, config, NOW + 24 * HOUR)
    assert found is not None
    assert (found.action, found.new) == ("promote", True)
    assert (current(config), canary(config)) == (id_of(three[1]), None)
    assert state(database, "run") == "promoted"
    assert promote(database, config, NOW + 48 * HOUR) is None
    assert rollback(database, config, NOW).checkpoint_id == id_of(three[0])
    assert state(database, "run") == "refused"


def test_a_person_need_not_wait(database: Database, config: Config, three: list[Path], out: str) -> None:
    found = promote(database, config, NOW, "run", at_once=True)
    assert found is not None
    assert (found.action, current(config), canary(config)) == ("promote", id_of(three[1]), None)


def test_without_a_canary_a_person_may_promote_at_once(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW, at_once=True)
    assert (current(config), canary(config)) == (id_of(three[1]), None)


def test_the_first_checkpoint_is_no_canary(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    assert canary(config) is None


def test_a_canary_that_is_reported_too_often_is_taken_back(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    complain(database, id_of(three[0]), 7, "before")
    complain(database, out, 5)
    found = promote(database, config, NOW + 2 * HOUR)
    assert found is not None
    assert (found.action, found.new, canary(config)) == ("rollback", True, None)
    assert found.reason.startswith(
        "people report the canary too often: 5 of 12 reported conversations are its own, and 10% its share (p = 0.004)"
    )
    assert found.reason.endswith("; ends canary 2")
    assert current(config) == id_of(three[0])
    assert state(database, "run") == "refused"
    assert promote(database, config, NOW + 48 * HOUR) is None


@pytest.mark.parametrize(("own", "others", "too_many"), [(5, 7, True), (5, 20, False), (4, 0, False), (0, 0, False)])
def test_five_of_twelve_are_too_many_for_a_tenth_and_five_of_twentyfive_or_only_four_are_not(
    own: int, others: int, too_many: bool
) -> None:
    assert Tally(own, own + others, 0.1).too_many is too_many


def test_the_chance_is_that_of_a_binomial_tail() -> None:
    assert Tally(2, 3, 0.5).p == pytest.approx(0.5)
    assert Tally(3, 3, 0.1).p == pytest.approx(0.001)
    assert Tally(0, 3, 0.1).p == 1


def test_one_conversation_counts_once_however_often_it_is_reported(database: Database, out: str) -> None:
    complain(database, out, 2)
    complain(database, out, 2)
    found = canary_tally_of(database)
    assert (found.own, found.total) == (2, 2)


def test_praise_the_red_team_what_is_dismissed_and_what_came_before_do_not_count(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    complain(database, out, 1, "praise", category=None, rating=1)
    complain(database, out, 1, "red", source="redteam")
    complain(database, out, 1, "dismissed", status="dismissed")
    complain(database, out, 1, "early", created=NOW - HOUR)
    complain(database, id_of(three[2]), 1, "another checkpoint")
    assert canary_tally_of(database).total == 0
    complain(database, out, 1, "thumb", category=None, rating=-1)
    assert canary_tally_of(database).own == 1


def canary_tally_of(database: Database) -> Tally:
    with database.read() as session:
        found = canary_tally(session, live(session), NOW + 2 * HOUR)
    assert found is not None
    return found


def test_a_rollback_ends_the_canary_and_no_more(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    found = rollback(database, config, NOW, "it swears")
    assert (found.action, found.reason) == ("rollback", "it swears; ends canary 2")
    assert (current(config), canary(config)) == (id_of(three[0]), None)
    assert state(database, "run") == "refused"
    with pytest.raises(ValueError, match="no checkpoint before"):
        rollback(database, config, NOW)
    with pytest.raises(ValueError, match="something else followed"):
        promote(database, config, NOW, "run")


def test_another_promotion_ends_the_canary(database: Database, config: Config, three: list[Path], out: str) -> None:
    begin(database, config, three[2], NOW + HOUR, "urgent")
    assert (current(config), canary(config)) == (id_of(three[2]), None)
    assert state(database, "run") == "refused"


def test_beside_a_canary_no_other_run_is_promoted(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    add_passed(database, "another", three[2], three[0])
    with pytest.raises(ValueError, match="answers 10% of the conversations; promote it with --now"):
        promote(database, config, NOW, "another")


@pytest.mark.parametrize("end", ["begins", "takes over", "is rolled back"])
def test_a_kill_between_row_and_file_is_mended(database: Database, config: Config, three: list[Path], end: str) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    if end != "begins":
        promote(database, config, NOW)
    before = config.current.read_bytes()
    if end == "is rolled back":
        rollback(database, config, NOW)
    else:
        promote(database, config, NOW + 24 * HOUR)
    after = config.current.read_bytes()
    assert before != after
    config.current.write_bytes(before)
    assert "stopped promotion" in settle(database, config)
    assert config.current.read_bytes() == after


@pytest.mark.parametrize(
    ("end", "becomes"),
    [
        ("begins", "canary"),
        ("takes over", "promoted"),
        ("is rolled back", "refused"),
        ("gives way to another", "refused"),
    ],
)
def test_a_store_from_before_learns_of_it(
    database: Database, config: Config, three: list[Path], end: str, becomes: str
) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW)
    if end == "is rolled back":
        rollback(database, config, NOW)
    elif end == "takes over":
        promote(database, config, NOW + 24 * HOUR)
    elif end == "gives way to another":
        begin(database, config, three[2], NOW + HOUR, "urgent")
    told = (current(config), canary(config) and id_of(three[1]))
    forget(database, 2 if end == "begins" else 3)
    becoming(database, "trained" if end == "begins" else "canary")
    assert "did not know" in settle(database, config)
    assert (current(config), canary(config) and id_of(three[1])) == told
    assert not settle(database, config)
    assert state(database, "run") == becomes


def test_a_store_from_before_learns_of_a_canary_that_came_back_beside_another(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    tried = canary(config)
    write_pointer(config.current, Pointer(three[2], id_of(three[2]), 9, tried))
    assert "did not know" in settle(database, config)
    assert (current(config), canary(config)) == (id_of(three[2]), tried)
    assert state(database, "run") == "canary"


def becoming(database: Database, state: str) -> None:
    with database.write() as session:
        session.get_one(Run, "run").state = state


def test_a_row_tells_the_share(database: Database, out: str) -> None:
    with database.read() as session:
        assert list(session.scalars(sql.select(Promotion.share).order_by(Promotion.id))) == [1.0, 0.1]


def looked_at(database: Database, config: Config, now: datetime) -> tuple[str, bool]:
    found = promote(database, config, now)
    assert found is not None
    return found.action, found.new


def test_a_clock_that_is_set_back_ends_no_canary(database: Database, config: Config, out: str) -> None:
    """Nor does it when it is right again, which is before the canary's hours are over."""
    assert looked_at(database, config, NOW - 30 * DAY) == ("canary", False)
    assert looked_at(database, config, NOW - 29 * DAY) == ("promote", True)


def test_a_clock_that_was_set_back_for_an_hour_ends_no_canary(database: Database, config: Config, out: str) -> None:
    assert looked_at(database, config, NOW - 30 * DAY) == ("canary", False)
    assert looked_at(database, config, NOW - 30 * DAY + HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 23 * HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 24 * HOUR) == ("promote", True)


def test_a_canary_that_began_next_year_takes_over_its_hours_after_the_first_look(
    database: Database, config: Config, three: list[Path], next_year: str
) -> None:
    assert looked_at(database, config, NOW) == ("canary", False)
    assert not settle(database, config)
    assert history(database)[1:] == [("canary", next_year, id_of(three[0]))] * 2
    assert looked_at(database, config, NOW + 23 * HOUR) == ("canary", False)
    assert looked_at(database, config, NOW + 24 * HOUR) == ("promote", True)
    assert current(config) == next_year
    assert state(database, "run") == "promoted"


def test_a_canary_that_began_next_year_is_taken_back_where_people_report_it(
    database: Database, config: Config, three: list[Path], next_year: str
) -> None:
    """What was reported of the other before the canary's first report is left out: it may be older than the canary."""
    complain(database, id_of(three[0]), 50, "before", created=NOW - HOUR)
    complain(database, next_year, 5)
    assert looked_at(database, config, NOW + 2 * HOUR) == ("rollback", True)
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_reports_of_before_the_first_look_count(database: Database, config: Config, next_year: str) -> None:
    complain(database, next_year, 4)
    assert looked_at(database, config, NOW + 2 * HOUR) == ("canary", False)
    complain(database, next_year, 1, "later", created=NOW + 3 * HOUR)
    assert looked_at(database, config, NOW + 4 * HOUR) == ("rollback", True)


@pytest.fixture
def next_year(database: Database, config: Config, three: list[Path]) -> str:
    """The id of a canary that was begun while the clock was a year ahead."""
    begin(database, config, three[0], NOW - DAY)
    add_passed(database, "run", three[1], three[0])
    found = promote(database, config, NOW + 365 * DAY)
    assert found is not None
    return found.checkpoint_id


@pytest.mark.parametrize(
    ("noted", "hour", "beginning"),
    [
        ([5], 7, 5),
        ([5], 5, 5),
        ([5], 3, None),  # the clock was ahead, or is behind
        ([5, 3], 4, 3),
        ([5, 3], 6, 5),  # it was behind, and is right again
        ([5, 3, 1], 2, 1),
    ],
)
def test_a_canary_began_at_the_last_time_that_is_not_ahead_of_the_clock(
    noted: list[int], hour: int, beginning: int | None
) -> None:
    expected = None if beginning is None else NOW + beginning * HOUR
    assert began([NOW + one * HOUR for one in noted], NOW + hour * HOUR) == expected


def seen(database: Database) -> tuple[Live, Tally]:
    """What a look sees before it acts."""
    with database.read() as session:
        found = live(session)
        session.expunge_all()
    return found, Tally(9, 12, 0.1)


@pytest.fixture
def second(database: Database, config: Config, three: list[Path], out: str) -> str:
    """A canary whose predecessor has taken over."""
    promote(database, config, NOW, at_once=True)
    add_passed(database, "second", three[2], three[1])
    found = promote(database, config, NOW)
    assert found is not None
    assert found.action == "canary"
    return found.checkpoint_id


def test_two_looks_at_a_bad_canary_take_back_the_canary_alone(
    database: Database, config: Config, three: list[Path], second: str
) -> None:
    found, bad = seen(database)
    first = _look(database, config, NOW + HOUR, found, bad, False)
    again = _look(database, config, NOW + HOUR, found, bad, False)
    assert (first.action, first.new, again.action, again.new) == ("rollback", True, "rollback", False)
    assert (current(config), canary(config)) == (id_of(three[1]), None)
    assert len(history(database)) == 5


def test_two_looks_at_the_end_of_a_canary_promote_it_once(database: Database, config: Config, second: str) -> None:
    found = seen(database)[0]
    for new in (True, False):
        told = _look(database, config, NOW + 24 * HOUR, found, Tally(0, 0, 0.1), False)
        assert (told.action, told.new, current(config)) == ("promote", new, second)
    assert len(history(database)) == 5


def test_a_look_that_comes_late_leaves_the_next_canary_alone(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    found, bad = seen(database)
    rollback(database, config, NOW)
    add_passed(database, "second", three[2], three[0])
    promote(database, config, NOW)
    for tally in (bad, Tally(0, 0, 0.1)):
        assert not _look(database, config, NOW + 24 * HOUR, found, tally, False).new
    tried = canary(config)
    assert tried is not None
    assert tried.id == id_of(three[2])


def test_a_canary_whose_checkpoint_is_gone_is_taken_back(
    database: Database, config: Config, three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, three[0], NOW)
    copy = Path(shutil.copytree(three[1], tmp_path / "copy"))
    add_passed(database, "run", copy, three[0])
    promote(database, config, NOW)
    shutil.rmtree(copy)
    with pytest.raises(FileNotFoundError):
        promote(database, config, NOW + HOUR, at_once=True)
    found = promote(database, config, NOW + 24 * HOUR)
    assert found is not None
    assert (found.action, current(config), canary(config)) == ("rollback", id_of(three[0]), None)
    assert "no such folder" in found.reason
    assert state(database, "run") == "refused"


def test_ticks_look_at_the_canary_and_begin_nothing_else(database: Database, config: Config, out: str) -> None:
    def turn(hours: int) -> list[tuple[str, bool]]:
        return [(step.name, step.did) for step in tick(database, config, None, lambda: NOW + hours * HOUR)]

    assert turn(1) == [("collect", False), ("label", False), ("admit", False), ("canary", False)]
    assert turn(24)[-1] == ("promote", True)
    assert current(config) == out
    assert turn(25)[-1] == ("decide", False)


def test_a_tick_that_fails_looks_at_the_canary_before_it_says_so(
    database: Database, config: Config, three: list[Path], out: str
) -> None:
    """The questions for the gate can't be read, and people report the canary."""
    add_passed(database, "another", three[2], three[0])
    broken = config.model_copy(update={"gate": config.gate.model_copy(update={"evaluation": config.folder / "none"})})
    complain(database, out, 30)
    told = []
    with pytest.raises(ValueError, match="none: no such file"):
        for step in tick(database, broken, None, lambda: NOW + 2 * HOUR):
            told.append(step.name)
    assert told[-1] == "rollback"
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_a_tick_that_fails_promotes_nothing_else(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    broken = config.model_copy(update={"gate": config.gate.model_copy(update={"evaluation": config.folder / "none"})})
    with pytest.raises(ValueError, match="none: no such file"):
        list(tick(database, broken, None, lambda: NOW + 2 * HOUR))
    assert (current(config), canary(config)) == (id_of(three[0]), None)


def test_a_project_that_was_changed_or_is_elsewhere_does_not_stop_a_tick(
    database: Database, config: Config, out: str
) -> None:
    add_project(database, project("corrections", "corrections"))
    with Client("http://127.0.0.1:9", "0" * 40, patience=0) as client:
        steps = {step.name: step for step in tick(database, config, client, lambda: NOW + 24 * HOUR)}
    assert steps["label"].said.startswith("nobody can be asked, each tick tries again: there is a project")
    assert steps["promote"].did
    assert current(config) == out
