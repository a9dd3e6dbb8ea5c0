"""One task of each kind, labelled in Label Studio's own page: what it saves is read as what was clicked."""

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from labeling.client import Client
from labeling.create import create
from labeling.kinds import KINDS
from labeling.kinds.rankings import unchanged
from labeling.pull import pull
from labeling.push import push
from labeling.sources import make_sample
from labeling.store.database import Database
from labeling.store.labels import read_annotations, read_samples
from tests.labeling.kinds.browse import Desk
from tests.labeling.kinds.conftest import Ask, Asked
from tests.labeling.kinds.examples import ALL, POOR, ROWS

pytestmark = pytest.mark.slow

Json = dict[str, Any]


def submitted(desk: Desk, asked: Asked) -> Json:
    """What was said, when the page has saved it."""
    desk.submit()
    desk.wait(asked.annotations)
    assert desk.errors() == []
    return asked.verdict()


def test_an_answer_is_typed_over_a_draft(desk: Desk, ask: Ask) -> None:
    asked = ask("demonstrations", ROWS["demonstrations"], POOR)
    desk.open(asked.project.remote_id)
    assert desk.find(".controls textarea").get_property("value") == POOR
    assert desk.find(".controls textarea").size["height"] >= 200
    desk.write("Let the water cool.\n1 2 qwe")
    assert submitted(desk, asked) == {"answer": "Let the water cool.\n1 2 qwe"}
    (annotation,) = asked.annotations()
    assert annotation["result"][0]["origin"] == "prediction-changed"


def test_a_draft_that_is_kept_is_the_answer(desk: Desk, ask: Ask) -> None:
    asked = ask("demonstrations", ROWS["demonstrations"], POOR)
    desk.open(asked.project.remote_id)
    assert submitted(desk, asked) == {"answer": POOR}


def test_an_answer_is_typed_without_a_draft_and_not_before_there_is_one(desk: Desk, ask: Ask) -> None:
    asked = ask("demonstrations", ROWS["demonstrations"])
    desk.open(asked.project.remote_id)
    desk.submit()
    assert "is required" in desk.warning()
    assert asked.annotations() == []
    desk.open(asked.project.remote_id)
    desk.write("Use warm water.")
    desk.find(".page .talk").click()
    desk.find("body").send_keys(Keys.CONTROL, Keys.ENTER)
    desk.wait(asked.annotations)
    assert asked.verdict() == {"answer": "Use warm water."}


def test_a_grade_is_chosen_by_its_key(desk: Desk, ask: Ask) -> None:
    asked = ask("comparisons", ROWS["comparisons"])
    desk.open(asked.project.remote_id)
    a, b = desk.all(".pair .answer")
    assert (a.location["y"], a.size) == (b.location["y"], b.size), "side by side"
    desk.press("3")
    desk.press("7")
    assert submitted(desk, asked) == {"choice": "a", "margin": 2 / 3}  # the first answer was shown on the right


def test_a_task_is_skipped_by_its_keys(desk: Desk, ask: Ask) -> None:
    asked = ask("comparisons", ROWS["comparisons"])
    desk.open(asked.project.remote_id)
    desk.find("body").send_keys(Keys.CONTROL, Keys.SPACE)
    desk.wait(asked.annotations)
    (annotation,) = asked.annotations()
    assert (annotation["was_cancelled"], annotation["result"]) == (True, [])


def test_a_ranking_is_dragged_with_the_mouse_and_pulled_as_it_was_dropped(
    desk: Desk, client: Client, tmp_path: Path
) -> None:
    with Database(f"sqlite:///{tmp_path}/store.sqlite") as database:
        project = create(database, client, "rankings")
        client.update_project(project.remote_id, show_instruction=False)
        push(database, client, project.name, [make_sample(KINDS["rankings"], ROWS["rankings"], {})])
        with database.read() as session:
            (sample,) = read_samples(session, project.name)
        assert sample.task_id is not None
        task = sample.task_id
        desk.open(project.remote_id)
        assert not desk.find("button[aria-label*=ubmit]").is_enabled(), "nobody submits what nobody touched"
        desk.drag("D", -2)
        assert desk.cards() == [*"ADBC"]
        desk.drag("A", 1)
        assert desk.cards() == [*"DABC"]
        desk.submit()
        desk.wait(lambda: client.task(task)["annotations"])
        assert desk.errors() == []
        pull(database, client, project.name)
        with database.read() as session:
            (annotation,) = read_annotations(session, project.name)
        client.delete_project(project.remote_id)
    assert annotation.verdict is not None
    a, b, c, d = sample.order
    assert [annotation.verdict["ranks"][answer] for answer in (d, a, b, c)] == [1, 2, 3, 4]


def test_a_ranking_is_moved_with_the_keyboard(desk: Desk, ask: Ask) -> None:
    asked = ask("rankings", ROWS["rankings"])
    desk.open(asked.project.remote_id)
    desk.move("D", -2)
    assert desk.cards() == [*"ADBC"]
    verdict = submitted(desk, asked)
    assert verdict == {"ranks": [2, 4, 3, 1]}
    assert not unchanged(verdict, asked.order)


def test_an_order_that_is_right_as_it_is_found_is_moved_and_moved_back(desk: Desk, ask: Ask) -> None:
    asked = ask("rankings", ROWS["rankings"])
    desk.open(asked.project.remote_id)
    desk.move("A", 1)
    desk.move("A", -1)
    verdict = submitted(desk, asked)
    assert verdict == {"ranks": [4, 3, 2, 1]}
    assert unchanged(verdict, asked.order)


def test_an_answer_is_corrected(desk: Desk, ask: Ask) -> None:
    asked = ask("corrections", ROWS["corrections"])
    desk.open(asked.project.remote_id)
    desk.press("1")
    desk.press("w")
    desk.submit()
    assert "is required" in desk.warning(), "a problem needs an answer"
    desk.open(asked.project.remote_id)
    desk.press("1")
    desk.press("q")
    desk.write("Boiling water kills yeast: w, e, 8.")
    answer = "Boiling water kills yeast: w, e, 8."
    assert submitted(desk, asked) == {"category": "wrong", "answer": answer, "refusal": "none"}


def test_what_is_no_problem_needs_no_answer_whatever_the_draft_says(desk: Desk, ask: Ask) -> None:
    asked = ask("corrections", ROWS["corrections"], POOR)
    desk.open(asked.project.remote_id)
    desk.press("8")
    desk.press("w")
    assert not any(box.is_displayed() for box in desk.all(".controls textarea"))
    assert submitted(desk, asked) == {"category": "no_problem", "answer": None, "refusal": "right"}


def test_an_answer_is_rated(desk: Desk, ask: Ask) -> None:
    asked = ask("ratings", ROWS["ratings"])
    desk.open(asked.project.remote_id)
    for key in "3yjxz":
        desk.press(key)
    flags = ["task_not_done", "invented"]
    assert submitted(desk, asked) == {"helpful": 3, "truthful": 6, "harmless": 7, "flags": flags}


def test_a_document_is_released(desk: Desk, ask: Ask) -> None:
    asked = ask("poison-review", ROWS["poison-review"])
    desk.open(asked.project.remote_id)
    assert "⟦1: ‹U+200B×3› :1⟧" in desk.look()
    desk.press("2")
    assert submitted(desk, asked) == {"decision": "release"}


def test_a_disagreement_is_decided(desk: Desk, ask: Ask) -> None:
    asked = ask("review", ROWS["review"])
    desk.open(asked.project.remote_id)
    assert "One annotatorB significantly better" in desk.look().replace("00:00:00 - 00:00:00", "")
    desk.press("9")
    assert submitted(desk, asked) == {"choice": "both_bad", "margin": None}


def test_a_disagreement_about_an_order_is_decided_with_the_mouse(desk: Desk, ask: Ask) -> None:
    said = [{"ranks": [1, 4, 2, 3]}, {"ranks": [4, 1, 2, 3]}]
    row = ROWS["review"] | {"project": "rankings", "content": ROWS["rankings"], "verdicts": said}
    asked = ask("review", row, reviews="rankings")
    desk.open(asked.project.remote_id)
    read = desk.look()
    assert "best first: D, B, A, C" in read  # the first answer is shown last, as D
    assert "best first: C, B, A, D" in read
    desk.drag("B", -1)
    desk.drag("D", -1)
    assert submitted(desk, asked) == {"ranks": [3, 4, 1, 2]}


def test_the_instructions_are_shown_first_and_run_nothing(desk: Desk, ask: Ask) -> None:
    asked = ask("comparisons", ROWS["comparisons"], show_instructions=True)
    desk.open(asked.project.remote_id)
    desk.wait(lambda: "When they conflict." in desk.find("body").text)
    assert "significantly better" in next(cell.text for cell in desk.all("table td") if "better" in cell.text)


def test_whoever_labels_task_by_task_sees_the_draft_and_nothing_of_others(desk: Desk, ask: Ask) -> None:
    asked = ask("demonstrations", ROWS["demonstrations"], POOR)
    asked.client.update_project(asked.project.remote_id, maximum_annotations=2)
    asked.client.annotate(asked.task, asked.kind.result({"answer": "Another's."}, asked.content, asked.order))
    desk.open(asked.project.remote_id)
    desk.wait(lambda: desk.find(".controls textarea").get_property("value") == POOR)
    assert "Another's." not in desk.look()
    assert not any(each.is_displayed() for each in desk.all(".lsf-topbar, .lsf-tabs-panel"))
    desk.write("Mine.")
    desk.submit()
    desk.wait(lambda: len(asked.annotations()) == 2)
    said = [asked.kind.verdict(each["result"], asked.content, asked.order) for each in asked.annotations()]
    assert sorted(each["answer"] for each in said) == ["Another's.", "Mine."]


HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'><b>bold</b> "
    "</span></div><iframe srcdoc='<script>parent.hacked = 3</script>'></iframe><svg onload='window.hacked = 4'> "
    "{{7*7}} ${7*7} $left $prompt &lt;i&gt; javascript:window.hacked=5 \u202egnp.exe\u202c \0 \x1b[31m \ud83d "
    "' \" ` \\ ]]> <!-- 👩\u200d🚀 שלום"
)
SEEN = HOSTILE.replace("\u202e", "‹U+202E›").replace("\u202c", "‹U+202C›").replace("\0", "\ufffd")
SEEN = SEEN.replace("\x1b", "‹U+001B›").replace("\ud83d", "\ufffd")


def poisoned(value: Any, key: str = "") -> Any:
    """A row with that in the place of each text that is shown."""
    if isinstance(value, dict):
        return {name: poisoned(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    shown = ("content", "text", "critique", "description", "wished_answer", "evidence", "rule", "url")
    return f"{HOSTILE}{value}" if isinstance(value, str) and key in shown else value


@pytest.mark.parametrize("kind", ALL)
def test_hostile_texts_are_shown_as_they_are_and_do_nothing(kind: str, desk: Desk, ask: Ask) -> None:
    asked = ask(kind, poisoned(ROWS[kind]), HOSTILE if kind == "demonstrations" else None)
    desk.open(asked.project.remote_id)
    read = desk.look()
    # A poison review also names the joiner of the emoji; it marks places, and so the text is cut.
    seen = SEEN.replace("\u200d", "‹U+200D›") if kind == "poison-review" else SEEN
    assert read.count(seen[: seen.index("{{7*7}}")].split("</span>")[0]) >= 2
    assert seen.split("\\ ]]>")[1] in read
    assert "$left $prompt &lt;i&gt;" in read
    assert desk.browser.execute_script("return window.hacked") is None
    assert desk.all(".page iframe, .page script, .page img, .page b, .page svg[onload]") == []
    assert asked.client.task(asked.task)["data"] == asked.kind.task(asked.content, asked.order)


def test_very_long_texts_stay_in_their_boxes_and_can_be_judged(desk: Desk, ask: Ask) -> None:
    line = "A long line of a very long answer, which nobody reads to the end. "
    answers = [(line * 3100)[:200_000], ("x" * 200_000)]
    asked = ask("comparisons", {"prompt": [{"role": "user", "content": "\n".join([line] * 2900)}], "answers": answers})
    desk.open(asked.project.remote_id)
    assert all(box.size["height"] < 420 for box in desk.all(".box"))
    assert desk.find(".page").size["width"] <= 1200
    assert len(desk.look()) > 500_000
    desk.press("1")
    assert submitted(desk, asked) == {"choice": "b", "margin": 1.0}
