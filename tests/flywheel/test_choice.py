"""Which corrections are trained on: new until a promoted run has learnt them, and only where the gate can judge."""

from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.choice import Choice, choose, learnt_prompts, usable_cases
from flywheel.config import Config
from flywheel.label import admitted
from flywheel.tables import Correction, Dataset, Decision, Misbehaviour
from labeling.store.database import Database
from tests.flywheel.asked import add_bad, add_capitals, add_cases, add_said
from tests.flywheel.rows import NOW, run_of


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path, gate={"minimum_cases": 3})  # type: ignore[arg-type]


def chosen(database: Database, config: Config) -> Choice:
    admitted(database, config, NOW)
    with database.read() as session:
        return choose(session, config)


def waits(database: Database, config: Config) -> dict[str, str]:
    return {one.cluster: one.waits for one in chosen(database, config).clusters}


def add_run(database: Database, state: str) -> None:
    """A run that has learnt all corrections that there are."""
    with database.write() as session:
        ids = list(session.scalars(sql.select(Correction.id)))
        decision = Decision(made=NOW, retrain=True, reason="", counts={})
        session.add_all([decision, Dataset(id=state, made=NOW, path="", corrections=ids, replay=0)])
        session.flush()
        session.add(run_of(state, state, decision.id, state=state))


def test_a_cluster_with_as_many_cases_as_the_gate_needs_is_trained_for(database: Database, config: Config) -> None:
    add_capitals(database, 2)
    add_cases(database, 2)
    assert waits(database, config) == {"capitals": "wait for cases: 2 of 3"}
    assert chosen(database, config).taught == []

    add_cases(database, 3, cluster="rivers")
    bad = add_bad(database, "How long is the Nile?", cluster="rivers")
    add_said(database, bad, ("wrong", "Very."), ("wrong", "Very."))
    found = chosen(database, config)
    assert {one.cluster: (one.cases, one.waits) for one in found.clusters} == {
        "capitals": (2, "wait for cases: 2 of 3"),
        "rivers": (3, ""),
    }
    assert [one.cluster for one in found.clusters] == ["capitals", "rivers"]
    assert [one.misbehaviour for one in found.taught] == [bad]


@pytest.mark.parametrize(
    "change",
    [
        {"check": None},
        {"check": {"kind": "guess"}},
        {"prompt": [{"said": "which town"}]},
        {"prompt": [{"role": "user", "content": "Which town is the capitals one in region 1?"}]},
    ],
    ids=["no check", "a check that is none", "no conversation", "asked twice"],
)
def test_what_the_gate_cannot_ask_or_judge_is_no_case(
    database: Database, config: Config, change: dict[str, object]
) -> None:
    add_capitals(database, 2)
    first, *_ = add_cases(database, 3)
    assert waits(database, config) == {"capitals": ""}
    with database.write() as session:
        session.execute(sql.update(Misbehaviour).where(Misbehaviour.id == first).values(**change))
    assert waits(database, config) == {"capitals": "wait for cases: 2 of 3"}


@pytest.mark.parametrize(
    ("state", "new"), [("promoted", 0), ("canary", 2), ("refused", 2), ("failed", 2), ("trained", 2)]
)
def test_only_a_promoted_run_uses_up_what_it_learnt(database: Database, config: Config, state: str, new: int) -> None:
    add_capitals(database, 2)
    add_cases(database, 3)
    assert len(chosen(database, config).new) == 2
    add_run(database, state)
    found = chosen(database, config)
    assert (len(found.new), len(found.learnt), len(found.taught)) == (new, 2 - new, 2)


def test_what_was_learnt_is_learnt_again_though_its_cluster_has_few_cases_now(
    database: Database, config: Config
) -> None:
    add_capitals(database, 2)
    chosen(database, config)
    add_run(database, "promoted")
    add_capitals(database, 1, begin=2)
    found = chosen(database, config)
    assert (len(found.learnt), len(found.new), found.clusters[0].waits) == (2, 0, "wait for cases: 0 of 3")


def test_a_question_whose_answer_a_promoted_run_has_learnt_is_no_case(database: Database, config: Config) -> None:
    asks = (
        "Tell me in one short sentence what the capital city of Norway was called before it got its name from king {}."
    )
    bad = add_bad(database, asks.format("Olaf"))
    add_said(database, bad, ("wrong", "Some other name."), ("wrong", "Some other name."))
    chosen(database, config)
    add_run(database, "promoted")
    add_bad(database, asks.format("Olav"), held_out=True, check={"kind": "answers"})
    add_cases(database, 2)
    with database.read() as session:
        assert usable_cases(session)["capitals"] == 2
        assert "tell me of the capital" not in learnt_prompts(session)
