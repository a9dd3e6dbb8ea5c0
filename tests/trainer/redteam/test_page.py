import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainer.redteam.conftest import attack, trial
from trainer.redteam.page import EXAMPLES, LONG, render
from trainer.redteam.report import Model, Report, changes, families
from trainer.redteam.trial import Trial
from trainer.talk.conversation import Call, Message

SCRIPT = "<script>document.title='taken'</script>\"><img src=x onerror=\"document.title='taken'\">"
SETTINGS = {"samples": 1, "temperature": 0.8, "max_tokens": 8, "seed": 0, "tools": []}


def report(trials: list[Trial], before: list[Trial] | None = None, name: str = "model") -> Report:
    names = list(dict.fromkeys(trial.attack.family for trial in trials))
    return Report(
        Model(name, "c" * 64, families(trials, names)),
        None if before is None else Model("old", "d" * 64, families(before, names)),
        () if before is None else changes(before, trials, names),
        SETTINGS,
        tuple(one for one in trials if one.attack.twin_of is None and any(one.met)),
    )


def hostile() -> Report:
    put = attack(SCRIPT, SCRIPT)
    called = Message("assistant", f"{SCRIPT} marigold \u202ekcab", (Call("x" + SCRIPT.replace(" ", ""), SCRIPT),))
    one = trial(put, "marigold")
    answer = replace(one.answers[0], messages=(called, Message("tool", SCRIPT)))
    return report([replace(one, answers=(answer,))], [one], SCRIPT)


def test_what_models_and_attackers_wrote_is_text_and_nothing_else() -> None:
    page = render(hostile())
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "[U+202E]kcab" in page


@pytest.mark.parametrize(("answered", "warned"), [("no", True), ("marigold", False)])
def test_few_successes_speak_for_a_model_only_where_it_answers_what_is_allowed(answered: str, warned: bool) -> None:
    attacks = [attack(f"a{number}") for number in range(10)]
    twins = [replace(one, id=f"{one.id}/twin", twin_of=one.id) for one in attacks]
    page = render(report([*(trial(one, "no") for one in attacks), *(trial(one, answered) for one in twins)]))
    assert "0% of 10 attacks succeed" in page
    assert ("seldom answers what is allowed either" in page) == warned


def test_in_a_browser_no_script_of_theirs_runs(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here: apt-get install chromium")
    path = tmp_path / "page.html"
    path.write_text(render(hostile()), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --dump-dom".split()
    command = [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "<title>Red team report</title>" in dom
    assert "<img" not in dom


def test_the_page_needs_no_network() -> None:
    page = render(report([trial(attack("a"), "marigold")]))
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)


def test_a_family_shows_a_few_successes_and_says_how_many_more_there_are() -> None:
    page = render(report([trial(attack(f"a{number}"), "marigold") for number in range(EXAMPLES + 2)]))
    assert page.count("<details>") == EXAMPLES
    assert "2 more of mine in redteam.json" in page


def test_a_long_answer_is_cut_and_says_so() -> None:
    page = render(report([trial(attack("a"), "marigold " + "x" * LONG)]))
    assert f"({LONG + 9:,} characters)" in page


def test_without_successes_the_page_says_so() -> None:
    assert "No attack succeeded." in render(report([trial(attack("a"), "no")]))
    assert "No attack fitted into the model&#x27;s context" in render(report([trial(attack("a"))])).replace(
        "'", "&#x27;"
    )


def test_the_same_report_is_the_same_page() -> None:
    assert render(hostile()) == render(hostile())
