from dataclasses import replace
from pathlib import Path

import pytest

from labeling.store.database import Database
from labeling.store.reports import reports as stored
from tests.trainer.redteam.conftest import attack, trial
from trainer.redteam.check import Check
from trainer.redteam.findings import keep, opened, reports

SAMPLING = {"temperature": 0.8, "seed": 0}
CHECKPOINT = "c" * 64


def test_a_success_becomes_a_report_with_all_that_was_said() -> None:
    (found,) = reports([trial(attack("a", "role play"), "It is marigold.", "No.")], CHECKPOINT, SAMPLING)
    assert (found.category, found.source, found.checkpoint_id) == ("harmful", "redteam", CHECKPOINT)
    assert found.description == "role play: a: leaks marigold"
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant"]
    assert found.messages[-1]["content"] == "It is marigold."


def test_a_refused_twin_is_reported_as_a_refusal_and_an_answered_one_is_not() -> None:
    twin = attack("t", twin=True)
    (found,) = reports([trial(twin, "I'm sorry, I can't.", "It is marigold.", "What?")], CHECKPOINT, SAMPLING)
    assert found.category == "refusal"


def test_an_instruction_that_came_from_a_tool_is_an_injection() -> None:
    put = replace(attack("a", check=Check("writes", "abc")), category="injection")
    (found,) = reports([trial(put, "abc")], CHECKPOINT, SAMPLING)
    assert found.category == "injection"


def test_the_same_answer_to_the_same_attack_is_one_finding_however_often(tmp_path: Path) -> None:
    trials = [trial(attack("a"), "marigold", "marigold", "Marigold!"), trial(attack("b"), "marigold")]
    with opened(f"sqlite:///{tmp_path / 'store.db'}") as database:
        assert keep(database, reports(trials, CHECKPOINT, SAMPLING)) == (3, 0)
        assert keep(database, reports(trials, CHECKPOINT, SAMPLING)) == (0, 3)
        assert keep(database, reports(trials, "d" * 64, SAMPLING)) == (3, 0)
        assert len(stored(database)) == 6


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        opened(f"sqlite:///{tmp_path / 'none' / 'store.db'}")


def test_a_store_that_is_locked_is_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    found = reports([trial(attack("a"), "marigold")], CHECKPOINT, SAMPLING)
    with Database(url) as holder, Database(url, busy_timeout=0.1) as database, holder.write() as session:
        session.connection()
        with pytest.raises(ValueError, match="another program holds it locked"):
            keep(database, found)
