"""A canary from its beginning to its end, and when people's reports end it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from flywheel.canary import Tally
from flywheel.config import Config, Promote
from flywheel.decide import AT_WORK
from flywheel.promote import begin, canary_tally, promote, rollback
from flywheel.settle import settle
from flywheel.tables import Promotion
from flywheel.tick import tick
from labeling.store.database import Database
from labeling.store.reports import Report, add_report
from tests.flywheel.models import settings, state
from tests.flywheel.promotions import add_passed, current, forget, history, id_of
from tests.flywheel.rows import HOUR, NOW
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import find
from trainer.pointer import Canary, read_pointer


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
        found = canary_tally(session)
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


@pytest.mark.parametrize("end", ["begins", "takes over", "is rolled back"])
def test_a_store_from_before_learns_of_it(database: Database, config: Config, three: list[Path], end: str) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW)
    if end == "is rolled back":
        rollback(database, config, NOW)
    elif end == "takes over":
        promote(database, config, NOW + 24 * HOUR)
    told = (current(config), canary(config) and id_of(three[1]))
    forget(database, 2 if end == "begins" else 3)
    assert "did not know" in settle(database, config)
    assert (current(config), canary(config) and id_of(three[1])) == told
    assert not settle(database, config)
    assert state(database, "run") == {"begins": "canary", "takes over": "promoted", "is rolled back": "refused"}[end]


def test_a_row_tells_the_share(database: Database, out: str) -> None:
    with database.read() as session:
        assert list(session.scalars(sql.select(Promotion.share).order_by(Promotion.id))) == [1.0, 0.1]


def test_a_clock_that_is_set_back_ends_no_canary(database: Database, config: Config, out: str) -> None:
    found = promote(database, config, NOW - timedelta(days=30))
    assert found is not None
    assert (found.action, found.new) == ("canary", False)


def test_ticks_look_at_the_canary_and_begin_nothing_else(database: Database, config: Config, out: str) -> None:
    def turn(hours: int) -> list[tuple[str, bool]]:
        return [(step.name, step.did) for step in tick(database, config, None, lambda: NOW + hours * HOUR)]

    assert turn(1) == [("collect", False), ("label", False), ("admit", False), ("canary", False)]
    assert turn(24)[-1] == ("promote", True)
    assert current(config) == out
    assert turn(25)[-1] == ("decide", False)
