import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

import flywheel.settle
from flywheel.config import Config, Promote
from flywheel.gate import gate
from flywheel.live import pointer
from flywheel.promote import Promoted, begin, promote, rollback
from flywheel.settle import settle
from flywheel.tables import Verdict
from labeling.store.database import Database
from tests.flywheel.canaries import canary, complain
from tests.flywheel.models import settings, state
from tests.flywheel.promotions import add_passed, current, forget, history, id_of
from tests.flywheel.rows import HOUR, NOW
from tests.labeling.conftest import plain
from tests.trainer.talk.serve.conftest import write_model
from trainer.checkpoint import MODEL, find
from trainer.pointer import Pointer, write_pointer


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


def test_a_file_that_is_written_late_says_what_the_last_promotion_said(
    database: Database, config: Config, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def and_another_is_faster(file: Path, pointer: Pointer) -> None:
        monkeypatch.undo()
        begin(database, config, three[1], NOW)
        write_pointer(file, pointer)

    monkeypatch.setattr(flywheel.settle, "write_pointer", and_another_is_faster)
    assert begin(database, config, three[0], NOW).checkpoint_id == id_of(three[0])
    assert current(config) == id_of(three[1])
    assert not settle(database, config)


def test_what_is_promoted_while_a_restored_store_learns_of_the_file_stays(
    database: Database, config: Config, three: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(database, config, three[0], NOW)
    begin(database, config, three[1], NOW)
    forget(database, 2)

    def and_another_is_faster(*given: Any) -> Pointer | None:
        found = pointer(*given)
        monkeypatch.undo()
        begin(database, config, three[2], NOW)
        return found

    monkeypatch.setattr(flywheel.settle, "pointer", and_another_is_faster)
    settle(database, config)
    assert current(config) == id_of(three[2])
    assert [id for _, id, _ in history(database)] == [id_of(one) for one in three]


# Two at once, on PostgreSQL, which lets both read before one writes

Promotes = Callable[[Database], Promoted | None]


def at_once(url: str, promotes: Promotes) -> list[Promoted]:
    """What two come to who have both come as far as they can before either has written."""

    def one(_: int) -> Promoted | None:
        with Database(url) as database:
            return promotes(database)

    with psycopg.connect(plain(url)) as held, ThreadPoolExecutor(2) as threads:
        held.execute("LOCK TABLE flywheel_promotions IN EXCLUSIVE MODE")  # may be read
        both = [threads.submit(one, number) for number in range(2)]
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while held.execute(waiting).fetchone() != (2,) and not any(each.done() for each in both):
            time.sleep(0.02)
        held.rollback()
        return [found for each in both if (found := each.result()) is not None]


def test_two_looks_at_a_bad_canary_at_once_take_back_the_canary_alone(
    postgresql: str, config: Config, three: list[Path]
) -> None:
    config = config.model_copy(update={"promote": Promote(canary=0.1)})
    with Database(postgresql) as database:
        begin(database, config, three[0], NOW)
        begin(database, config, three[1], NOW)
        add_passed(database, "run", three[2], three[1])
        promote(database, config, NOW)
        complain(database, id_of(three[2]), 5)
        found = at_once(postgresql, lambda own: promote(own, config, NOW + 2 * HOUR))
        assert sorted((one.action, one.new) for one in found) == [("rollback", False), ("rollback", True)]
        assert (current(config), canary(config)) == (id_of(three[1]), None)
        assert [action for action, _, _ in history(database)] == ["promote", "promote", "canary", "rollback"]


def test_a_run_that_two_promote_at_once_is_promoted_once(postgresql: str, config: Config, three: list[Path]) -> None:
    with Database(postgresql) as database:
        begin(database, config, three[0], NOW)
        add_passed(database, "run", three[1], three[0])
        found = at_once(postgresql, lambda own: promote(own, config, NOW))
        assert sorted(one.new for one in found) == [False, True]
        assert current(config) == id_of(three[1])
        assert len(history(database)) == 2
