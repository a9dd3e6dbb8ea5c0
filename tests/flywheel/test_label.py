"""Corrections are what two people agree on; what is withdrawn, held out, planted or no correction does not train."""

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from flywheel.agreed import WITHDRAWN, Admitted
from flywheel.config import Config, Label
from flywheel.label import Answers, Waits, admitted, fetch, send, waiting
from flywheel.steps import labelled, set_aside
from flywheel.tables import Correction, Json, Misbehaviour
from labeling.client import Client
from labeling.quality.admission import admit
from labeling.store.database import Database
from labeling.store.labels import SampleRow
from labeling.store.reports import Report, add_report
from tests.flywheel.asked import COUNTRIES, add_bad, add_capitals, add_said
from tests.flywheel.models import BLUE, COLOUR, THINGS, colours, taught
from tests.flywheel.rows import NOW, report
from tests.labeling.conftest import LabelStudio, label_studio, label_studio_template  # noqa: F401  fixtures
from tests.trainer.talk.serve.conftest import serving

RIGHT = ("wrong", "Oslo.")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(folder=tmp_path)


def corrections(database: Database) -> list[Correction]:
    with database.read() as session:
        found = list(session.scalars(sql.select(Correction).order_by(Correction.id)))
        session.expunge_all()
    return found


def the_one(database: Database) -> Correction:
    (found,) = corrections(database)
    return found


def test_where_nothing_was_sent_nothing_is_admitted(database: Database, config: Config) -> None:
    add_bad(database, "What is the capital of Norway?")

    assert admitted(database, config, NOW) == Admitted()


def test_what_two_people_agree_on_is_a_correction(database: Database, config: Config) -> None:
    bad = add_bad(database, "What is the capital of Norway?")
    add_said(database, bad, RIGHT, RIGHT)

    assert admitted(database, config, NOW) == Admitted(corrections=1)

    found = the_one(database)
    assert (found.misbehaviour, found.answer, found.category, found.weight) == (bad, "Oslo.", "wrong", 1.0)
    assert (found.admitted, found.refused, len(found.annotations)) == (NOW, None, 2)


def test_what_one_person_says_is_not(database: Database, config: Config) -> None:
    add_said(database, add_bad(database, "What is the capital of Norway?"), RIGHT)

    assert admitted(database, config, NOW) == Admitted()
    assert corrections(database) == []


def test_two_who_disagree_about_the_problem_correct_nothing(database: Database, config: Config) -> None:
    add_said(database, add_bad(database, "What is the capital of Norway?"), RIGHT, ("harmful", "Oslo."))

    assert admitted(database, config, NOW) == Admitted()


@pytest.mark.parametrize("said", [("no_problem", None), ("wrong", " no  IDEA")])
def test_no_problem_and_the_reported_answer_again_are_no_corrections(
    database: Database, config: Config, said: tuple[str, str | None]
) -> None:
    add_said(database, add_bad(database, "What is the capital of Norway?", "No idea."), said, said)

    assert admitted(database, config, NOW) == Admitted()


def test_asked_again_it_changes_nothing(database: Database, config: Config) -> None:
    add_said(database, add_bad(database, "What is the capital of Norway?"), RIGHT, RIGHT)
    admitted(database, config, NOW)

    assert admitted(database, config, NOW + timedelta(days=1)) == Admitted()
    assert the_one(database).admitted == NOW


def test_a_correction_whose_labels_are_deleted_counts_no_more_and_again_when_they_are_back(
    database: Database, config: Config
) -> None:
    bad = add_bad(database, "What is the capital of Norway?")
    add_said(database, bad, RIGHT, RIGHT)
    admitted(database, config, NOW)

    add_said(database, bad, RIGHT, None)
    assert admitted(database, config, NOW) == Admitted(withdrawn=1)
    assert the_one(database).refused == WITHDRAWN
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted()
    assert the_one(database).refused is None


def test_of_an_answer_that_was_changed_the_new_one_counts(database: Database, config: Config) -> None:
    bad = add_bad(database, "What is the capital of Norway?")
    add_said(database, bad, RIGHT, RIGHT)
    admitted(database, config, NOW)

    better = ("wrong", "The capital of Norway is Oslo.")
    add_said(database, bad, better, better)
    assert admitted(database, config, NOW) == Admitted(corrections=1, withdrawn=1)
    assert {one.answer: one.refused for one in corrections(database)} == {"Oslo.": WITHDRAWN, better[1]: None}


def test_a_held_out_case_gets_a_check_and_no_correction(database: Database, config: Config) -> None:
    bad = add_bad(database, "What is the capital of Norway?", held_out=True)
    add_said(database, bad, RIGHT, RIGHT)

    assert admitted(database, config, NOW) == Admitted(cases=1)

    assert corrections(database) == []
    with database.read() as session:
        assert session.get_one(Misbehaviour, bad).check == {"kind": "nearer", "good": "Oslo.", "bad": "No idea."}
    assert admitted(database, config, NOW) == Admitted()


def check_of(database: Database, bad: str) -> Json | None:
    with database.read() as session:
        return session.get_one(Misbehaviour, bad).check


@pytest.mark.parametrize(
    ("source", "check"),
    [
        ("evaluation", {"kind": "nearer", "good": "Oslo is.", "bad": "No idea."}),
        ("monitor", {"kind": "varied"}),
        ("redteam", {"kind": "answers"}),
    ],
)
def test_a_check_of_the_operator_s_own_stays(database: Database, config: Config, source: str, check: Json) -> None:
    bad = add_bad(database, "What is the capital of Norway?", held_out=True, source=source, check=check)
    assert admitted(database, config, NOW) == Admitted()
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted()
    assert check_of(database, bad) == check


@pytest.mark.parametrize("check", [{"kind": "nearer", "good": "Bergen.", "bad": "No idea."}, {"kind": "answers"}])
def test_a_check_by_a_user_s_wish_goes_and_people_are_asked(database: Database, config: Config, check: Json) -> None:
    """As older stores have it."""
    bad = add_bad(database, "What is the capital of Norway?", held_out=True, check=check)
    assert waiting(database, config).unsent.count == 0

    assert admitted(database, config, NOW) == Admitted(withdrawn=1)
    assert check_of(database, bad) is None
    assert waiting(database, config).unsent.count == 1
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted(cases=1)


@pytest.mark.parametrize("source", ["chat", "monitor", "redteam"])
def test_a_check_by_labels_changes_and_goes_with_them(database: Database, config: Config, source: str) -> None:
    bad = add_bad(database, "What is the capital of Norway?", held_out=True, source=source)
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted(cases=1)

    add_said(database, bad, *2 * [("wrong", "It is Oslo.")])
    assert admitted(database, config, NOW) == Admitted(cases=1)
    assert check_of(database, bad) == {"kind": "nearer", "good": "It is Oslo.", "bad": "No idea."}
    add_said(database, bad, *2 * [("no_problem", None)])
    assert admitted(database, config, NOW) == Admitted(withdrawn=1)
    assert check_of(database, bad) is None
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted(cases=1)
    assert corrections(database) == []


def test_a_check_by_the_labels_of_another_project_stays(database: Database, config: Config) -> None:
    bad = add_bad(database, "What is the capital of Norway?", held_out=True)
    add_said(database, bad, RIGHT, RIGHT)
    admitted(database, config, NOW)

    renamed = config.model_copy(update={"label": Label(project="later")})
    assert admitted(database, renamed, NOW) == Admitted()
    assert check_of(database, bad) is not None


def test_a_planted_answer_makes_no_case_and_its_reason_is_kept(database: Database, config: Config) -> None:
    bad = add_bad(database, "What is the capital of Sweden?", held_out=True)
    hidden = "Oslo." + "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    add_said(database, bad, *2 * [("wrong", hidden)])
    add_capitals(database, 3)

    assert admitted(database, config, NOW) == Admitted(corrections=4, refused=1)
    assert admitted(database, config, NOW) == Admitted()
    assert check_of(database, bad) is None
    (refused,) = [one for one in corrections(database) if one.refused]
    assert refused.misbehaviour == bad
    add_said(database, bad, RIGHT, RIGHT)
    assert admitted(database, config, NOW) == Admitted(cases=1)


def test_a_planted_answer_is_refused_with_its_reason_and_the_others_are_not(database: Database, config: Config) -> None:
    good = add_capitals(database, 10)
    hidden = "Its capital is Oslo." + "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    planted = add_bad(database, "What is the capital of Sweden?")
    add_said(database, planted, ("wrong", hidden), ("wrong", hidden))

    assert admitted(database, config, NOW) == Admitted(corrections=11, refused=1)

    refused = {one.misbehaviour: one.refused for one in corrections(database)}
    assert (refused.pop(planted) or "").startswith("poison? tag_characters in the answer")
    assert refused == dict.fromkeys(good)


def test_who_presses_one_button_through_a_whole_cluster_is_honest(database: Database, config: Config) -> None:
    """Thirty wrong answers follow each other, then thirty refusals: by the labels' own rule nobody's labels count."""
    for hour, (category, cluster) in enumerate((("wrong", "capitals"), ("refusal", "rivers"))):
        for number in range(30):
            bad = add_bad(database, f"Question {number} about {cluster}?", cluster=cluster)
            said = category, f"The right answer number {number}."
            add_said(database, bad, said, said, at=NOW + timedelta(hours=hour, minutes=number))
    assert not any(one.admitted for one in admit(database, "corrections"))

    assert admitted(database, config, NOW).corrections == 60


def test_each_that_people_are_asked_about_waits_for_somebody_or_is_settled(database: Database, config: Config) -> None:
    asks = [f"What is the capital of {one}?" for one in COUNTRIES[:9]]
    said = {
        asks[1]: [RIGHT],
        asks[2]: [RIGHT, ("harmful", "Oslo.")],
        asks[3]: 2 * [("no_problem", None)],
        asks[4]: 2 * [("wrong", "No idea!")],
        asks[5]: 2 * [RIGHT],
    }
    for day, ask in enumerate(asks[:6]):
        bad = add_bad(database, ask, found=NOW + timedelta(days=day))
        if ask in said:
            add_said(database, bad, *said[ask])
    add_bad(database, asks[6], consent=False)
    add_bad(database, asks[7], held_out=True, source="evaluation", check={"kind": "answers"})
    case = add_bad(database, asks[8], held_out=True)
    add_said(database, case, RIGHT, RIGHT)

    def days(*these: int) -> Waits:
        return Waits(len(these), NOW + timedelta(days=these[0]))

    expected = Answers(unsent=days(0), unanswered=days(1), disagreed=days(2), settled=days(3, 4))
    assert waiting(database, config) == expected
    admitted(database, config, NOW)
    assert waiting(database, config) == expected

    (corrected,) = corrections(database)
    add_said(database, corrected.misbehaviour, RIGHT, None)
    admitted(database, config, NOW)
    assert waiting(database, config).unanswered.count == 2


def test_before_anything_is_sent_all_waits_to_be(database: Database, config: Config) -> None:
    assert waiting(database, config) == Answers(*4 * [Waits()])
    add_bad(database, "What is the capital of Norway?")
    assert waiting(database, config).unsent.count == 1


def test_what_was_refused_is_looked_at_again_beside_new_ones(database: Database, config: Config) -> None:
    add_capitals(database, 3)
    admitted(database, config, NOW)
    with database.write() as session:
        session.execute(sql.update(Correction).values(refused="poison? by a rule that there is no more"))
    assert admitted(database, config, NOW) == Admitted()

    add_capitals(database, 1, begin=3)
    assert admitted(database, config, NOW) == Admitted(corrections=1, released=3)
    assert {one.refused for one in corrections(database)} == {None}


@pytest.fixture
def connected(label_studio: LabelStudio) -> Iterator[tuple[Client, list[Client]]]:  # noqa: F811
    """The administrator's client, and two annotators'."""
    clients = [label_studio.client(person) for person in (label_studio.admin, *label_studio.annotators[:2])]
    yield clients[0], clients[1:]
    for client in clients:
        client.close()


def test_labels_that_do_not_fit_their_project_are_told_with_most_of_their_reasons() -> None:
    text = "category: 'Wrong or made up' is none of the choices"
    assert set_aside({text: 60, "answer: it is empty": 4}) == f", 64 set aside (60: {text}, 4 for other reasons)"


def test_what_people_skipped_or_said_again_is_not_set_aside() -> None:
    assert set_aside({"skipped": 3, "replaced by the same person's newer annotation": 2}) == ""


@pytest.mark.slow
def test_from_a_report_to_a_correction_by_a_real_label_studio(
    database: Database, config: Config, connected: tuple[Client, list[Client]]
) -> None:
    admin, people = connected
    prompt = [{"role": "user", "content": "What is the capital of Norway?"}]
    said = [*prompt, {"role": "assistant", "content": "No idea."}]
    wish = {"wished_answer": "Oslo, or write to ola@example.com.", "consent": True, "id": report(1)}
    add_report(database, Report("c0" * 32, said, "wrong", **wish))
    bad = add_bad(database, prompt[0]["content"], source_ref=report(1))
    case = add_bad(database, "What is the capital of Sweden?", held_out=True)
    for number, more in enumerate(({"consent": False}, {"held_out": True, "check": {"kind": "answers"}})):
        more |= {"source": "evaluation"}
        add_bad(database, f"What is the capital of country {number}?", **more)

    assert send(database, admin, config).noted == 2
    assert send(database, admin, config).noted == 0
    odd = add_bad(database, " ")
    assert f"0 sent, 0 new labels, 0 changed, 1 can't be sent (misbehaviour {odd}" in str(
        labelled(database, config, admin).said
    )

    with database.read() as session:
        samples = list(session.scalars(sql.select(SampleRow)))
        session.expunge_all()
    assert {one.provenance["misbehaviour"] for one in samples} == {bad, case}
    (reported,) = (one for one in samples if one.provenance["misbehaviour"] == bad)
    assert reported.content["report"]["wished_answer"] == "Oslo, or write to [email]."
    for one in samples:
        for person in people:
            result = [
                {"from_name": name, "to_name": "prompt", "type": "choices", "value": {"choices": [choice]}}
                for name, choice in (("category", "wrong"), ("refusal", "none"))
            ]
            text = {"text": ["Ask an atlas."]}
            result.append({"from_name": "answer", "to_name": "prompt", "type": "textarea", "value": text})
            assert one.task_id is not None
            person.annotate(one.task_id, result, 60.0)
    assert fetch(database, admin, config).new == 4
    assert admitted(database, config, NOW) == Admitted(corrections=1, cases=1)
    assert the_one(database).misbehaviour == bad


def drafting(config: Config, url: str, model: str | None = None) -> Config:
    return config.model_copy(update={"label": Label(draft_url=url, draft_model=model)})


def drafts(database: Database) -> list[tuple[str | None, bool]]:
    """The draft of each sample, and whether it was sent."""
    with database.read() as session:
        found = session.scalars(sql.select(SampleRow).order_by(SampleRow.id))
        return [(one.draft, one.task_id is not None) for one in found]


@pytest.mark.slow
def test_a_correction_is_asked_for_with_a_draft_by_the_model_that_is_served(
    database: Database, config: Config, connected: tuple[Client, list[Client]], tmp_path: Path
) -> None:
    admin, _ = connected
    for thing in THINGS[:2]:
        add_bad(database, COLOUR.format(thing))
    with serving(taught(tmp_path / "model", colours(BLUE)), tmp_path / "chat.db") as chat:
        sent = send(database, admin, drafting(config, chat.url))
    assert (sent.noted, sent.pushed.pushed, dict(sent.pushed.undrafted)) == (2, 2, {})
    assert drafts(database) == [(BLUE, True), (BLUE, True)]
    with database.read() as session:
        tasks = [one.task_id for one in session.scalars(sql.select(SampleRow))]
    shown = [admin.task(task)["predictions"] for task in tasks if task is not None]
    assert all(BLUE in str(predictions) for predictions in shown)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["current", None], ids=["a model is named", "none is named"])
def test_a_model_that_is_away_holds_up_nobody_and_is_told(
    database: Database,
    config: Config,
    connected: tuple[Client, list[Client]],
    caplog: pytest.LogCaptureFixture,
    model: str | None,
) -> None:
    admin, _ = connected
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        for thing in THINGS[:2]:
            add_bad(database, COLOUR.format(thing))
        with caplog.at_level(logging.WARNING, "flywheel.label"):
            done = labelled(database, drafting(config, url, model), admin)
        assert done.said.startswith(f"2 sent, 0 new labels, 0 changed, 2 without a draft ({url}: no server answers")
        assert drafts(database) == [(None, True), (None, True)]
        (told,) = [one.getMessage() for one in caplog.records]
        assert told.startswith(f"label: 2 samples sent without a draft: {url}: no server answers")

        caplog.clear()
        assert send(database, admin, drafting(config, url, "current")).noted == 0
        assert not caplog.records, "where there is nothing to draft, nobody is missed"
