"""How often the current checkpoint misbehaves, asked again and again."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel import evaluate as module
from flywheel.collect import EVALUATED, Found, collect, failed
from flywheel.config import Config
from flywheel.evaluate import Measured, evaluate
from flywheel.promote import begin, rollback
from flywheel.sampled import RESAMPLED, TRAFFIC
from flywheel.tables import AGAIN, Measurement, Misbehaviour
from labeling.store.database import Database
from labeling.store.reports import read_reports
from tests.flywheel.models import BLUE, COLOUR, RED, THINGS, asks, colours, counts, settings, taught, waiting
from tests.flywheel.rows import HOUR, NOW
from trainer.checkpoint import read_about
from trainer.redteam.attack import Attack
from trainer.redteam.check import Check
from trainer.talk.conversation import Message


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One that tells every colour and no number, and one that tells neither."""
    folder = tmp_path_factory.mktemp("taught")
    return {
        "half": taught(folder / "half", {**colours(BLUE), **counts(RED)}),
        "bad": taught(folder / "bad", {**colours(RED), **counts(RED)}),
    }


@pytest.fixture
def config(tmp_path: Path) -> Config:
    questions = tmp_path / "general.jsonl"
    rows = [
        {"prompt": COLOUR.format(thing), "check": {"kind": "matches", "answer": BLUE if number else RED}}
        for number, thing in enumerate(THINGS[:4])
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return settings(tmp_path, evaluation=questions)


def rows(database: Database) -> list[tuple[str, str, int, int]]:
    with database.read() as session:
        found = session.scalars(sql.select(Measurement).order_by(Measurement.made, Measurement.group))
        return [(row.checkpoint_id, row.group, row.cases, row.bad) for row in found]


def test_the_current_checkpoint_is_asked_every_cluster_s_cases_and_the_general_questions(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    waiting(database, config, models["half"], models["bad"])
    found = list(evaluate(database, config, NOW))
    assert [str(one) for one in found] == [
        "asks for colours: 0 of 12 bad, 0% (0% to 24%)",
        "asks for counts: 12 of 12 bad, 100% (76% to 100%)",
        "general evaluation (general.jsonl): 1 of 4 bad, 25% (5% to 70%)",
    ]
    half = read_about(models["half"]).id
    assert sorted(rows(database)) == [(half, "colours", 12, 0), (half, "counts", 12, 12), (half, "evaluation", 4, 1)]


def test_what_is_known_is_not_asked_again_and_another_checkpoint_is(
    database: Database, config: Config, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(database, config, models["half"], models["bad"])
    list(evaluate(database, config, NOW))
    begin(database, config, models["bad"], NOW)
    assert [one.bad for one in evaluate(database, config, NOW + HOUR)] == [12, 12, 3]
    assert len(rows(database)) == 6
    monkeypatch.setattr(module, "answers", None)  # nobody is asked
    again = list(evaluate(database, config, NOW + 2 * HOUR))
    assert [(one.bad, one.new) for one in again] == [(12, False), (12, False), (3, False)]
    assert str(again[0]).endswith(", known before")
    assert len(rows(database)) == 6


def test_what_a_run_has_learnt_is_left_out_and_counted(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    waiting(database, config, models["half"], models["bad"])
    assert config.gate.evaluation is not None
    learnt = {"prompt": COLOUR.format(THINGS[12]), "check": {"kind": "matches", "answer": BLUE}}
    with config.gate.evaluation.open("a") as file:
        file.write(json.dumps(learnt) + "\n")
    begin(database, config, models["bad"], NOW)
    said = str(list(evaluate(database, config, NOW))[-1])
    assert said == (
        "general evaluation (general.jsonl): 3 of 4 bad, 75% (30% to 95%); 1 left out, as a run has learnt the answer"
    )
    config.gate.evaluation.write_text(json.dumps(learnt) + "\n")
    said = str(list(evaluate(database, config, NOW))[-1])
    assert said.endswith("could be asked; 1 left out, as a run has learnt the answer")


def test_a_new_case_is_another_question(database: Database, config: Config, models: dict[str, Path]) -> None:
    waiting(database, config, models["half"], models["bad"])
    list(evaluate(database, config, NOW))
    with database.write() as session:
        session.get_one(Misbehaviour, "colours12").held_out = True
        session.get_one(Misbehaviour, "colours12").check = {"kind": "matches", "answer": "it is green"}
    assert [(one.cases, one.bad, one.new) for one in evaluate(database, config, NOW)] == [
        (13, 1, True),
        (12, 12, False),
        (4, 1, False),
    ]


def test_general_questions_that_fail_can_be_collected(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    waiting(database, config, models["half"], models["bad"])
    list(evaluate(database, config, NOW))
    (found,) = failed(config.folder / EVALUATED)
    assert (config.folder / EVALUATED).stat().st_mode & 0o777 == 0o600
    assert isinstance(found, Found)
    assert (found.prompt, found.answer, found.source_ref) == (asks(COLOUR.format(THINGS[0])), BLUE, "general.jsonl:1")
    assert (found.checkpoint_id, found.consent) == (read_about(models["half"]).id, False)


def test_successful_attacks_are_counted_and_reported(
    database: Database, config: Config, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(database, config, models["half"], NOW)
    both = config.model_copy(update={"gate": config.gate.model_copy(update={"attacks": True, "evaluation": None})})

    class Two:
        def attacks(self, _: int) -> list[Attack]:
            prompts = [(Message("user", COLOUR.format(thing)),) for thing in THINGS[:2]]
            checks = [Check("says", BLUE), Check("says", RED)]
            return [
                Attack(f"a{number}", "colours", prompt, check)
                for number, (prompt, check) in enumerate(zip(prompts, checks, strict=True))
            ]

    monkeypatch.setattr(module, "library", Two)
    assert [str(one) for one in evaluate(database, both, NOW)] == [
        "the red team's attacks: 1 of 2 bad, 50% (9% to 91%)"
    ]
    with database.read() as session:
        (report,) = read_reports(session)
    assert (report.source, report.checkpoint_id) == ("redteam", read_about(models["half"]).id)
    assert not next(iter(evaluate(database, both, NOW))).new


def test_attacks_that_fit_into_no_context_are_no_rate() -> None:
    assert str(Measured("attacks", "c0" * 32, 0, 0, True)) == "attacks: no case that c0c0c0c0c0c0 could be asked"


def test_without_a_checkpoint_it_says_what_to_do(database: Database, config: Config) -> None:
    with pytest.raises(FileNotFoundError, match="promote a checkpoint first"):
        list(evaluate(database, config, NOW))


def answered_by(config: Config) -> set[tuple[str, int]]:
    """Whose answers the general questions' file has, and how many of them are wrong."""
    text = (config.folder / EVALUATED).read_text()
    wrong = sum(isinstance(one, Found) for one in failed(config.folder / EVALUATED))
    return {(json.loads(line)["checkpoint_id"], wrong) for line in text.splitlines()}


def test_after_a_rollback_the_answers_are_those_of_the_checkpoint_that_answers(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    half, bad = (read_about(models[name]).id for name in ("half", "bad"))
    begin(database, config, models["half"], NOW)
    list(evaluate(database, config, NOW))
    begin(database, config, models["bad"], NOW)
    list(evaluate(database, config, NOW))
    assert answered_by(config) == {(bad, 3)}
    rollback(database, config, NOW, "by hand")
    (found,) = evaluate(database, config, NOW)
    assert (found.bad, found.new) == (1, False)
    assert answered_by(config) == {(half, 1)}
    assert len(rows(database)) == 2


def test_answers_that_were_lost_are_asked_for_again(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    begin(database, config, models["half"], NOW)
    list(evaluate(database, config, NOW))
    before = (config.folder / EVALUATED).read_bytes()
    (config.folder / EVALUATED).unlink()
    list(evaluate(database, config, NOW + HOUR))
    assert (config.folder / EVALUATED).read_bytes() == before
    assert len(rows(database)) == 1


def test_what_failed_is_collected_without_further_settings(
    database: Database, config: Config, models: dict[str, Path]
) -> None:
    begin(database, config, models["half"], NOW)
    list(evaluate(database, config, NOW))
    assert collect(database, config, NOW).new == {"evaluation": 1}


def test_sampled_questions_are_asked_again_once(
    database: Database, config: Config, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three, one has another checkpoint's answer, and one fits into no context."""
    begin(database, config, models["half"], NOW)
    half = read_about(models["half"]).id
    asked = [(half, COLOUR.format(THINGS[0])), ("c0" * 32, COLOUR.format(THINGS[1])), (half, "what colour is " * 99)]
    told = [{"prompt": ask, "checkpoint_id": id, "time": NOW.isoformat(), "answer": BLUE} for id, ask in asked]
    (config.folder / TRAFFIC).write_text("".join(json.dumps(row) + "\n" for row in told))
    again = list(evaluate(database, config, NOW))[-1]
    assert str(again) == "sampled questions, asked again: 0 of 1 bad, 0% (0% to 79%)"
    kept = [json.loads(line) for line in (config.folder / RESAMPLED).read_text().splitlines()]
    assert sorted((len(row["prompt"][0]["content"]) < 50, row["resamples"]) for row in kept) == [
        (False, []),
        (True, [BLUE] * 4),
    ]
    assert (half, AGAIN, 1, 0) in rows(database)
    monkeypatch.setattr(module, "answers", None)  # nobody is asked
    assert [one.new for one in evaluate(database, config, NOW + HOUR)] == [False, False]
