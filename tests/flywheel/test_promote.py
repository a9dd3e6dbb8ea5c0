import json
from pathlib import Path

import pytest

from flywheel.config import Config
from flywheel.gate import gate
from flywheel.promote import begin, promote, rollback
from flywheel.settle import settle
from flywheel.tables import Verdict
from labeling.store.database import Database
from tests.flywheel.models import settings, state
from tests.flywheel.promotions import add_passed, current, forget, history, id_of
from tests.flywheel.rows import HOUR, NOW
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import MODEL, find


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings(tmp_path)


def test_a_loop_begins_with_a_checkpoint(database: Database, config: Config, three: list[Path]) -> None:
    found = begin(database, config, three[0], NOW)
    assert found.new
    assert current(config) == id_of(three[0])
    assert not begin(database, config, three[0], NOW + HOUR).new
    assert len(history(database)) == 1


def test_a_passed_run_is_promoted_once(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    first, second = promote(database, config, NOW), promote(database, config, NOW, "run")
    assert first is not None
    assert second is not None
    assert (first.new, second.new, first.number) == (True, False, second.number)
    assert current(config) == id_of(three[1])
    assert state(database, "run") == "promoted"
    assert promote(database, config, NOW) is None
    assert history(database)[1] == ("promote", id_of(three[1]), id_of(three[0]))


def test_a_refused_run_is_not_promoted_by_name_either(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0], passed=False)
    with pytest.raises(ValueError, match="did not pass run run: eggs get worse"):
        promote(database, config, NOW, "run")


def test_a_verdict_over_another_checkpoint_than_the_current_one_is_stale(
    database: Database, config: Config, three: list[Path]
) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    begin(database, config, three[2], NOW)
    with pytest.raises(ValueError, match="judge it again"):
        promote(database, config, NOW)
    assert current(config) == id_of(three[2])


def test_the_verdict_over_the_current_checkpoint_holds_though_another_is_dated_later(
    database: Database, config: Config, three: list[Path]
) -> None:
    """The clock was set back between them; the older one did not pass, or was over another checkpoint."""
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    with database.write() as session:
        later = {"made": NOW + 24 * HOUR, "passed": False, "reason": "eggs get worse", "page": "p.html"}
        session.add(Verdict(id="older", run="run", figures={"base": id_of(three[2])}, **later))
    found = promote(database, config, NOW)
    assert found is not None
    assert (found.new, current(config)) == (True, id_of(three[1]))


def test_rollbacks_go_back_one_promotion_each(database: Database, config: Config, three: list[Path]) -> None:
    for model in three:
        begin(database, config, model, NOW)
    assert rollback(database, config, NOW).checkpoint_id == current(config) == id_of(three[1])
    assert rollback(database, config, NOW).checkpoint_id == current(config) == id_of(three[0])
    with pytest.raises(ValueError, match="no checkpoint before"):
        rollback(database, config, NOW)
    assert [action for action, _, _ in history(database)] == ["promote"] * 3 + ["rollback"] * 2


def test_after_a_rollback_the_next_promotion_is_what_a_rollback_undoes(
    database: Database, config: Config, three: list[Path]
) -> None:
    begin(database, config, three[0], NOW)
    begin(database, config, three[1], NOW)
    rollback(database, config, NOW)
    begin(database, config, three[2], NOW)
    assert rollback(database, config, NOW).checkpoint_id == id_of(three[0])


def test_what_was_rolled_back_does_not_come_again_by_itself(
    database: Database, config: Config, three: list[Path]
) -> None:
    begin(database, config, three[0], NOW)
    add_passed(database, "run", three[1], three[0])
    promote(database, config, NOW)
    rollback(database, config, NOW, "people complain")
    assert state(database, "run") == "refused"
    assert gate(database, config, NOW) is None
    assert promote(database, config, NOW) is None
    with pytest.raises(ValueError, match="something else followed"):
        promote(database, config, NOW, "run")


def test_a_promotion_that_was_killed_before_the_file_is_finished(
    database: Database, config: Config, three: list[Path]
) -> None:
    begin(database, config, three[0], NOW)
    before = config.current.read_bytes()
    begin(database, config, three[1], NOW)
    config.current.write_bytes(before)
    assert settle(database, config)
    assert current(config) == id_of(three[1])
    assert not settle(database, config)
    config.current.unlink()
    assert settle(database, config)


def test_a_store_from_yesterday_does_not_change_what_people_talk_to(
    database: Database, config: Config, three: list[Path]
) -> None:
    """It learns what that is, or no run would ever be compared with it."""
    begin(database, config, three[0], NOW)
    begin(database, config, three[1], NOW)
    forget(database, 2)
    assert "did not know of the last promotion" in settle(database, config)
    assert current(config) == id_of(three[1])
    assert history(database)[1] == ("promote", id_of(three[1]), id_of(three[0]))
    assert not settle(database, config)
    add_passed(database, "run", three[2], three[1])
    assert promote(database, config, NOW) is not None
    assert current(config) == id_of(three[2])


def test_a_store_from_before_a_rollback_learns_of_it(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    begin(database, config, three[1], NOW)
    rollback(database, config, NOW)
    forget(database, 3)
    settle(database, config)
    assert current(config) == id_of(three[0])
    assert history(database)[-1][:2] == ("promote", id_of(three[0]))


def test_a_damaged_checkpoint_is_not_promoted(
    database: Database, config: Config, three: list[Path], tmp_path: Path
) -> None:
    begin(database, config, three[0], NOW)
    bad = find(write_model(tmp_path / "bad", 9))
    with (bad / MODEL).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ValueError, match="changed or damaged"):
        begin(database, config, bad, NOW)
    assert current(config) == id_of(three[0])
    assert len(history(database)) == 1


def test_the_pointer_names_its_promotion(database: Database, config: Config, three: list[Path]) -> None:
    begin(database, config, three[0], NOW)
    assert json.loads(config.current.read_text())["promotion"] == 1
