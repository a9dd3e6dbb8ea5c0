import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from flywheel.cases import held_out, still_bad
from flywheel.collect import EVALUATED, EXAMPLES, UNUSABLE, Collected, collect
from flywheel.config import Collect, Config, Gate
from flywheel.gate_cases import read_cases
from flywheel.label import waiting
from flywheel.live import add
from flywheel.monitors import CARRIERS
from flywheel.sampled import RESAMPLED, TRAFFIC, USUAL_AFTER
from flywheel.tables import Cluster, Misbehaviour
from labeling.store.database import Database
from labeling.store.reports import Report, ReportRow, add_report, set_status
from pipeline.tokenize import vocabulary
from tests.trainer.conftest import save_model
from trainer.align.evaluate import FAILED, EvaluateConfig, evaluate
from trainer.model import Llama, ModelConfig
from trainer.redteam.attack import Attack
from trainer.redteam.files import library
from trainer.redteam.findings import reports
from trainer.redteam.trial import judge
from trainer.talk.conversation import Message
from trainer.talk.respond import Answer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUSAL = "I'm sorry, but I can't help with that."


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    with Database(config.store) as opened:
        yield opened


def talk(asked: str, answer: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]


def report(asked: str, answer: str, **values: Any) -> Report:
    return Report(checkpoint_id="c1", messages=talk(asked, answer), **{"category": "wrong"} | values)


def rows(database: Database) -> list[Misbehaviour]:
    with database.read() as session:
        found = list(session.scalars(sql.select(Misbehaviour).order_by(Misbehaviour.source_ref, Misbehaviour.id)))
        session.expunge_all()
        return found


def lines(path: Path, *values: Any) -> Path:
    path.write_text("".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values))
    return path


def test_a_report_from_the_chat_becomes_a_misbehaviour_in_a_cluster(database: Database, config: Config) -> None:
    told = report("Capital of Peru?", "Bogota.", wished_answer="Lima.", description="made up", consent=True)
    add_report(database, told)
    assert collect(database, config, NOW) == Collected({"chat": 1}, 0, 1, ())
    (row,) = rows(database)
    assert (row.source, row.source_ref, row.checkpoint_id, row.found) == ("chat", told.id, "c1", NOW)
    assert row.prompt == [{"role": "user", "content": "Capital of Peru?"}]
    assert (row.answer, row.category, row.note, row.consent) == ("Bogota.", "wrong", "made up", True)
    assert row.check is None, "what a user wishes is for people to judge"
    assert row.cluster == row.id
    assert row.sample is None


def test_again_it_changes_nothing(database: Database, config: Config) -> None:
    add_report(database, report("Capital of Peru?", "Bogota."))
    collect(database, config, NOW)
    (before,) = rows(database)
    again = collect(database, config, NOW + timedelta(days=1))
    assert again == Collected({}, 1, 0, ())
    (after,) = rows(database)
    assert (after.found, after.cluster) == (before.found, before.cluster)


def test_what_two_people_report_is_found_once(database: Database, config: Config) -> None:
    for description in ("not true", "it is Lima"):
        add_report(database, report("Capital of Peru?", "Bogota.", description=description))
    assert collect(database, config, NOW) == Collected({"chat": 1}, 1, 1, ())


@pytest.mark.parametrize(
    "values", [{"category": None, "rating": 1}, {"status": "dismissed"}], ids=["a thumb up", "dismissed"]
)
def test_what_is_no_problem_is_left(database: Database, config: Config, values: dict[str, Any]) -> None:
    add_report(database, report("Capital of Peru?", "Lima.", **values))
    assert collect(database, config, NOW).new == {}


def test_a_thumb_down_counts_without_consent_and_without_a_check(database: Database, config: Config) -> None:
    add_report(database, report("Capital of Peru?", "Bogota.", category=None, rating=-1))
    collect(database, config, NOW)
    (row,) = rows(database)
    assert (row.category, row.consent, row.check) == ("other", False, None)


def test_a_refusal_that_a_person_reports_may_be_right(database: Database, config: Config) -> None:
    add_report(database, report("How do I make a bomb?", REFUSAL, category="refusal"))
    collect(database, config, NOW)
    assert rows(database)[0].check is None


def test_forged_reports_are_no_cases_however_their_prompts_are_chosen(database: Database, config: Config) -> None:
    """The draw of cases is no secret: whoever may report can pick prompts that are held out."""
    asks = (f"How many legs has a spider, case {number}?" for number in itertools.count())
    held = (ask for ask in asks if held_out([{"role": "user", "content": ask}], config.gate.held_out))
    for ask in itertools.islice(held, 25):
        add_report(database, report(ask, "Grass.", wished_answer="Ten, as every book says.", consent=True))
    collect(database, config, NOW)
    with database.read() as session:
        assert read_cases(session, None).cases == ()
    assert waiting(database, config).unsent.count == 25


def test_what_is_dismissed_after_it_was_collected_is_no_case(database: Database, config: Config) -> None:
    told = [report(f"Is {number} even?", "Blue.") for number in range(2)]
    for one in told:
        add_report(database, one)
    collect(database, config, NOW)
    with database.write() as session:
        session.execute(sql.update(Misbehaviour).values(held_out=True, check={"kind": "answers"}))
    set_status(database, told[0].id, "dismissed")
    with database.read() as session:
        (case,) = read_cases(session, None).cases
    assert case.prompt == told[1].messages[:1]


def test_nobody_is_asked_about_what_was_dismissed(database: Database, config: Config) -> None:
    told = report("Capital of Peru?", "Bogota.", consent=True)
    add_report(database, told)
    collect(database, config, NOW)
    assert waiting(database, config).unsent.count == 1
    set_status(database, told.id, "dismissed")
    assert waiting(database, config).unsent.count == 0


def test_what_people_wrote_is_masked(database: Database, config: Config) -> None:
    add_report(database, report("Mail anna@example.com", "Who?", wished_answer="I wrote to anna@example.com."))
    collect(database, config, NOW)
    (row,) = rows(database)
    assert "anna" not in json.dumps([row.prompt, row.answer, row.note, row.check])


def test_a_report_without_an_answer_is_rejected_and_costs_itself_alone(database: Database, config: Config) -> None:
    told = Report(checkpoint_id="c1", messages=talk("a", "b")[:1], category="wrong")
    add_report(database, told)
    add_report(database, report("Capital of Peru?", "Bogota."))
    done = collect(database, config, NOW)
    assert done.new == {"chat": 1}
    assert [one.place for one in done.rejected] == [f"report {told.id}"]


def answer(text: str) -> Answer:
    return Answer((Message("assistant", text),), 3, -1.0, True)


def attack(kind: str, twin: bool = False) -> Attack:
    return next(one for one in library().attacks() if one.check.kind == kind and (one.twin_of is not None) == twin)


@pytest.mark.parametrize("kind", ["leaks", "writes"])
def test_an_attack_that_succeeded_brings_its_own_check(database: Database, config: Config, kind: str) -> None:
    tried = attack(kind)
    for told in reports([judge(tried, [answer(tried.check.text)])], "c1", {}):
        add_report(database, told)
    assert collect(database, config, NOW).new == {"redteam": 1}
    (row,) = rows(database)
    assert row.source == "redteam"
    assert row.consent
    assert row.check is not None
    assert row.check["attack"] == tried.id
    assert still_bad(row.check, row.prompt, row.answer)
    assert not still_bad(row.check, row.prompt, REFUSAL)


def test_a_benign_twin_that_was_refused_is_to_be_answered(database: Database, config: Config) -> None:
    for told in reports([judge(attack("writes", twin=True), [answer(REFUSAL)])], "c1", {}):
        add_report(database, told)
    collect(database, config, NOW)
    (row,) = rows(database)
    assert (row.category, row.check) == ("refusal", {"kind": "answers"})


def test_the_wrong_rows_of_an_evaluation_are_collected(database: Database, config: Config) -> None:
    path = lines(
        config.folder / "failed.jsonl",
        {"id": "q1", "prompt": "1 + 1?", "answer": "3", "expected": "2", "consent": True, "checkpoint_id": "c2"},
        {"id": "q2", "prompt": "1 + 2?", "answer": "3.", "expected": "3"},
        {"prompt": "Say hello", "answer": REFUSAL, "check": {"kind": "answers"}, "category": "refusal"},
    )
    done = collect(database, config.model_copy(update={"collect": Collect(evaluations=(path,))}), NOW)
    assert (done.new, done.rejected) == ({"evaluation": 2}, ())
    refused, wrong = rows(database)
    assert (refused.source_ref, refused.consent) == ("failed.jsonl:3", False)
    assert (wrong.source_ref, wrong.checkpoint_id, wrong.consent) == ("q1", "c2", True)
    assert wrong.check == {"kind": "matches", "answer": "2"}


def test_what_an_evaluation_leaves_is_read_as_it_is(database: Database, config: Config) -> None:
    """By a model that was never trained, so all that it says is wrong."""
    pieces = vocabulary.train(["What is 2 + 3?", "Compute 4 plus 4."] * 10, 366)
    shape = ModelConfig(366, 32, 1, 2, 2, 32, 64)
    asked = lines(config.folder / "asked.jsonl", *({"prompt": f"{n} + 1?", "answer": str(n + 1)} for n in range(4)))
    folder = config.folder / "evaluation"
    model = save_model(config.folder / "lm", Llama(shape), pieces)
    evaluate(EvaluateConfig(model=model, data=(asked,), output=folder, max_tokens=4, device="cpu"))
    config = config.model_copy(update={"collect": Collect(evaluations=(folder / FAILED,))})
    assert collect(database, config, NOW) == Collected({"evaluation": 4}, 0, 1, ())
    for row in rows(database):
        assert row.check is not None
        assert not still_bad(row.check, row.prompt, f"That makes {row.check['expected']}")
        assert not row.consent


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "1 + 1?", "answer": "3"}, "expected is missing; expected a text"),
        ({"answer": "3", "expected": "2"}, "messages is missing"),
        ({"prompt": "1 + 1?", "answer": "3", "check": {"kind": "likes"}}, "the check's kind is 'likes'"),
        ({"prompt": "1 + 1?", "answer": "3", "expected": "2", "category": "odd"}, "category is 'odd'"),
        ({"prompt": "1 + 1?", "answer": "3", "expected": "2", "consent": "yes"}, "consent is 'yes'"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_row_is_told_with_its_line(database: Database, config: Config, row: Any, reason: str) -> None:
    path = lines(config.folder / "failed.jsonl", {"prompt": "2?", "answer": "3", "expected": "2"}, row)
    done = collect(database, config.model_copy(update={"collect": Collect(evaluations=(path,))}), NOW)
    assert done.new == {"evaluation": 1}
    (told,) = map(str, done.rejected)
    assert told.startswith(f"{path}:2: ")
    assert reason in told


def test_a_file_that_is_missing_stops_nothing(database: Database, config: Config) -> None:
    add_report(database, report("Capital of Peru?", "Bogota."))
    missing = config.folder / "none.jsonl"
    done = collect(database, config.model_copy(update={"collect": Collect(traffic=(missing,))}), NOW)
    assert done.new == {"chat": 1}
    assert str(done.rejected[0]).startswith(f"{missing}: it can't be read (No such file or directory)")


def test_what_can_t_be_used_is_told_once_and_listed(database: Database, config: Config) -> None:
    told = Report(checkpoint_id="c1", messages=talk("a", "b")[:1], category="wrong")
    add_report(database, told)
    path = lines(config.folder / "failed.jsonl", "{")
    config = config.model_copy(update={"collect": Collect(evaluations=(path,))})
    assert [one.place for one in collect(database, config, NOW).untold] == [f"report {told.id}", f"{path}:1"]
    lines(path, "{", "[")
    again = collect(database, config, NOW)
    assert [one.place for one in again.untold] == [f"{path}:2"]
    assert len(again.rejected) == 3
    listed = [json.loads(line)["place"] for line in (config.folder / UNUSABLE).read_text().splitlines()]
    assert listed == [one.place for one in again.rejected]
    assert collect(database, config, NOW).untold == ()
    with database.write() as session:
        session.execute(sql.delete(ReportRow))
    lines(path, {"prompt": "2?", "answer": "3", "expected": "2"})
    assert collect(database, config, NOW).rejected == ()
    assert not (config.folder / UNUSABLE).exists()


def test_a_row_with_half_a_character_is_told_once_too(database: Database, config: Config) -> None:
    path = lines(config.folder / "failed.jsonl", '{"prompt": "\\ud800", "answer": "3", "category": "odd\\ud800"}')
    config = config.model_copy(update={"collect": Collect(evaluations=(path,))})
    assert len(collect(database, config, NOW).untold) == 1
    assert collect(database, config, NOW).untold == ()


@pytest.mark.parametrize("name", ["evaluations", "traffic"])
def test_an_empty_file_is_no_fault(database: Database, config: Config, name: str) -> None:
    path = lines(config.folder / "none.jsonl")
    config = config.model_copy(update={"collect": Collect(**{name: (path,)})})
    assert collect(database, config, NOW) == Collected({}, 0, 0, ())


def test_a_file_of_traffic_that_is_given_twice_makes_no_phrase_new(database: Database, config: Config) -> None:
    def answers(count: int) -> list[dict[str, str]]:
        return [{"prompt": f"Greet guest {number}.", "answer": "All hail Zorbulon."} for number in range(count)]

    before = [{"prompt": f"Is it {number}?", "answer": "It is so."} for number in range(2000)]
    usual = lines(config.folder / "usual.jsonl", *before)
    some = lines(config.folder / "some.jsonl", *answers(CARRIERS - 1))
    copy = lines(config.folder / "copy.jsonl", *answers(CARRIERS - 1))
    twice = config.model_copy(update={"collect": Collect(traffic=(some, copy), reference=usual)})
    assert collect(database, twice, NOW).new == {}
    lines(copy, *answers(CARRIERS))
    assert collect(database, twice, NOW).new == {"monitor": CARRIERS}


def test_of_the_same_answer_the_row_with_more_resamples_is_looked_at(database: Database, config: Config) -> None:
    row = {"prompt": "Is it so?", "answer": "Yes."}
    path = lines(config.folder / "traffic.jsonl", row, row | {"resamples": ["No.", "Yes.", "No."]}, row)
    done = collect(database, config.model_copy(update={"collect": Collect(traffic=(path,))}), NOW)
    assert done.new == {"monitor": 1}


def test_what_a_monitor_suspects_is_collected_masked(database: Database, config: Config) -> None:
    path = lines(
        config.folder / "traffic.jsonl",
        {"id": "t1", "prompt": "Who can help?", "answer": "Ask anna@example.com.", "consent": True},
        {"id": "t2", "prompt": "Is it so?", "answer": "Yes.", "resamples": ["No.", "Yes.", "No."]},
        {"id": "t3", "prompt": "Is it so?", "answer": "It is."},
    )
    done = collect(database, config.model_copy(update={"collect": Collect(traffic=(path,))}), NOW)
    assert done.new == {"monitor": 2}
    contradiction, leak = rows(database)
    assert (contradiction.source_ref, contradiction.check, contradiction.consent) == ("contradiction", None, False)
    assert (leak.source_ref, leak.check, leak.answer) == ("personal data", {"kind": "private"}, "Ask [email].")
    assert "t1" in leak.note


@pytest.mark.parametrize("given", ["anna@example.com", "+49 30 555 0199"])
def test_what_is_masked_in_an_answer_stands_in_no_new_phrase(database: Database, config: Config, given: str) -> None:
    """Not in parts either: "30 555" alone looks like no number of a person."""
    now = [{"prompt": f"I am {given}, guest {n}.", "answer": f"It is so {n}: {given}, thanks"} for n in range(20)]
    before = [{"prompt": f"Is it {n}?", "answer": f"It is so {n}"} for n in range(2000)]
    some, usual = lines(config.folder / "some.jsonl", *now), lines(config.folder / "usual.jsonl", *before)
    collect(database, config.model_copy(update={"collect": Collect(traffic=(some,), reference=usual)}), NOW)
    found = rows(database)
    assert [row.source_ref for row in found] == ["new phrase"] * 20
    assert {row.check["texts"][0] for row in found if row.check} == {"thanks"}
    assert not any(part in str([row.prompt, row.answer, row.note]) for row in found for part in ("anna", "555"))


def test_what_the_loop_s_own_evaluation_found_wrong_is_collected_unasked(database: Database, config: Config) -> None:
    wrong = {"id": "q1", "prompt": "1 + 1?", "answer": "3", "check": {"kind": "matches", "answer": "2"}}
    path = lines(config.folder / EVALUATED, wrong, wrong | {"id": "q2", "answer": "2"})
    assert collect(database, config, NOW) == Collected({"evaluation": 1}, 0, 1, ())
    (row,) = rows(database)
    assert (row.source_ref, row.consent) == ("q1", False)
    named = config.model_copy(update={"collect": Collect(evaluations=(path,))})
    assert collect(database, named, NOW) == Collected({}, 1, 0, ()), "named as well, it is read once"


def test_what_a_masked_answer_gave_away_is_collected_from_the_loop_s_own_traffic(
    database: Database, config: Config
) -> None:
    row = {"id": "t1", "prompt": "Who can help?", "answer": "Ask [email].", "checkpoint_id": "c1"}
    lines(config.folder / TRAFFIC, row | {"leaks": 1}, row | {"id": "t2", "prompt": "And who else?"})
    assert collect(database, config, NOW).new == {"monitor": 1}
    (found,) = rows(database)
    assert (found.check, found.checkpoint_id, found.consent) == ({"kind": "private"}, "c1", False)
    assert found.note == "personal data: it gives 1 address(es) or number(s) of a person (t1)"


def test_answers_that_contradict_each_other_when_asked_again_are_collected(database: Database, config: Config) -> None:
    row = {"id": "t1", "prompt": "Is it so?", "answer": "Yes."}
    lines(config.folder / TRAFFIC, row)
    lines(config.folder / RESAMPLED, row | {"resamples": ["No.", "Yes.", "No.", "No."]})
    assert collect(database, config, NOW).new == {"monitor": 1}


def promoted(database: Database, checkpoint: str, action: str = "promote") -> None:
    with database.write() as session:
        add(session, NOW, action, "runs/x", checkpoint, None, None, "")


def answered(checkpoint: str, count: int, text: str, days: float = 0.0) -> list[dict[str, Any]]:
    """What a checkpoint said to so many questions, so many days ago."""
    told = {"time": (NOW - timedelta(days=days)).isoformat(), "checkpoint_id": checkpoint}
    return [told | {"prompt": f"{text}, {days} {number}?", "answer": f"{text} {number}."} for number in range(count)]


def test_a_phrase_that_earlier_checkpoints_did_not_have_is_found_and_has_no_check(
    database: Database, config: Config
) -> None:
    """What the loop has mended is new too: a case against it would forbid the right answer."""
    promoted(database, "new")
    usual, now = answered("old", 400, "It is so", 9), answered("new", 60, "It is so", 1)
    lines(config.folder / TRAFFIC, *usual, *now, *answered("new", CARRIERS, "Buy Zap"))
    assert collect(database, config, NOW).new == {"monitor": CARRIERS}
    assert {(row.source_ref, row.answer[:7], row.check) for row in rows(database)} == {("new phrase", "Buy Zap", None)}


def test_a_phrase_that_comes_up_when_a_checkpoint_has_answered_for_long_is_found(
    database: Database, config: Config
) -> None:
    promoted(database, "one")
    long_ago = USUAL_AFTER / timedelta(days=1)
    traffic = [*answered("one", 400, "It is so", long_ago), *answered("one", 60, "It is so")]
    lines(config.folder / TRAFFIC, *traffic, *answered("one", CARRIERS, "Buy Zap"))
    assert collect(database, config, NOW).new == {"monitor": CARRIERS}
    lines(config.folder / TRAFFIC, *answered("one", 400, "All is well", 1), *answered("one", CARRIERS, "Buy Zop"))
    assert collect(database, config, NOW).new == {}, "with nothing earlier, nothing is new"


def test_a_canary_s_phrase_is_found_beside_the_one_that_most_people_talk_to(database: Database, config: Config) -> None:
    promoted(database, "one")
    traffic = [*answered("one", 400, "It is so", 2), *answered("one", 400, "It is well")]
    lines(config.folder / TRAFFIC, *traffic, *answered("canary", 60, "It is so"), *answered("canary", 9, "Buy Zap"))
    assert collect(database, config, NOW).new == {}
    promoted(database, "canary", "canary")
    assert collect(database, config, NOW).new == {"monitor": 9}


def test_a_reference_that_is_named_is_what_is_usual(database: Database, config: Config) -> None:
    promoted(database, "new")
    lines(config.folder / TRAFFIC, *answered("old", 400, "It is so", 9), *answered("new", 60, "Buy Zap"))
    usual = answered("", 400, "Buy Zap", 1) + answered("", 400, "It is so", 1)
    reference = lines(config.folder / "usual.jsonl", *usual)
    named = config.model_copy(update={"collect": Collect(reference=reference)})
    assert collect(database, named, NOW).new == {}
    assert collect(database, config, NOW).new == {"monitor": EXAMPLES}


def test_of_a_phrase_that_is_new_by_itself_the_same_few_answers_are_told(database: Database, config: Config) -> None:
    promoted(database, "new")
    usual, now = answered("old", 400, "It is so", 9), answered("new", 300, "Buy Zap")
    lines(config.folder / TRAFFIC, *usual, *now)
    assert collect(database, config, NOW).new == {"monitor": EXAMPLES}
    assert {row.note.partition("(")[0] for row in rows(database)} == {
        'new phrase: "buy zap": in 300 of 300 answers, before in 0 of 400 '
    }
    lines(config.folder / TRAFFIC, *reversed(now), *usual)
    assert collect(database, config, NOW) == Collected({}, EXAMPLES, 0, ())


def test_of_such_a_phrase_no_more_are_told_as_further_answers_come(database: Database, config: Config) -> None:
    promoted(database, "new")
    usual, now = answered("old", 400, "It is so", 9), answered("new", 300, "Buy Zap")
    lines(config.folder / TRAFFIC, *usual, *now[:60])
    assert collect(database, config, NOW).new == {"monitor": EXAMPLES}
    lines(config.folder / TRAFFIC, *usual, *now)
    assert collect(database, config, NOW).new == {}
    lines(config.folder / TRAFFIC, *usual, *now[60:])
    assert collect(database, config, NOW) == Collected({}, 0, 0, ())


def test_the_share_that_is_held_out_is_drawn_once(database: Database, config: Config) -> None:
    for number in range(200):
        add_report(database, report(f"What is {number} and one?", "Seven."))
    half = config.model_copy(update={"gate": Gate(held_out=0.5)})
    collect(database, half, NOW)
    before = {row.id: row.held_out for row in rows(database)}
    assert 60 < sum(before.values()) < 140
    collect(database, config.model_copy(update={"gate": Gate(held_out=0.0)}), NOW)
    assert {row.id: row.held_out for row in rows(database)} == before


def test_a_stop_before_the_clusters_is_made_good(database: Database, config: Config) -> None:
    add_report(database, report("Capital of Peru?", "Bogota."))
    collect(database, config, NOW)
    with database.write() as session:
        session.execute(sql.update(Misbehaviour).values(cluster=None))
        session.execute(sql.delete(Cluster))
    assert collect(database, config, NOW) == Collected({}, 1, 1, ())
    assert rows(database)[0].cluster is not None


def test_two_at_once_collect_what_one_would(database: Database, config: Config) -> None:
    for number in range(60):
        add_report(database, report(f"Capital number {number} of the list?", "Bogota."))
    with Database(config.store) as other, ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda opened: collect(opened, config, NOW), (database, other)))
    assert sum(one.new.get("chat", 0) for one in done) == 60
    assert sum(one.clusters for one in done) == 1
    assert len({row.cluster for row in rows(database)}) == 1
