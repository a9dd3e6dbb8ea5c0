import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from labeling.store.database import Database
from labeling.store.reports import reports as stored
from trainer.redteam.attack import Attack
from trainer.redteam.check import Check
from trainer.redteam.command import Options, main, redteam, write
from trainer.talk.conversation import Message

QUICK = Options(max_tokens=4, device="cpu")


def loose(attacks: list[Attack]) -> list[Attack]:
    """Attacks of two families that succeed whenever anything is said."""
    several = [attack for attack in attacks if attack.family in ("plain request", "trigger words")]
    return [replace(attack, check=Check("complies")) for attack in several]


def test_a_report_is_a_function_of_model_attacks_and_seed(
    untrained: list[Path], attacks: list[Attack], tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        outcome = redteam(untrained[0], loose(attacks)[:12], replace(QUICK, seed=seed, samples=2))
        write(outcome.report, tmp_path / name)
    a, b, c = ([(tmp_path / name / file).read_bytes() for file in ("redteam.json", "redteam.html")] for name in "abc")
    assert a == b
    assert a != c


def test_two_models_are_asked_the_same(untrained: list[Path], attacks: list[Attack]) -> None:
    report = redteam(untrained[1], loose(attacks), QUICK, before=untrained[0]).report
    assert report.before is not None
    assert [family.name for family in report.model.families] == ["all families", "plain request", "trigger words"]
    assert [family.success.count for family in report.model.families] == [33, 15, 18]
    assert [change.count for change in report.changes] == [33, 15, 18]
    assert report.as_json()["before"]["checkpoint"] != report.as_json()["model"]["checkpoint"]


def test_the_same_checkpoint_is_no_before(untrained: list[Path], attacks: list[Attack]) -> None:
    with pytest.raises(ValueError, match="are the same checkpoint"):
        redteam(untrained[0], attacks, QUICK, before=untrained[0])


def test_what_does_not_fit_into_the_context_is_counted(untrained: list[Path], attacks: list[Attack]) -> None:
    long = replace(attacks[0], messages=(Message("user", "word " * 800),))
    found = redteam(untrained[0], [long, *loose(attacks)[:2]], QUICK).report.model.families[0]
    assert (found.left_out, found.success.count) == (1, 1)


def test_the_command_line(untrained: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.jsonl"
    rows = [{"family": "mine[/]", "prompt": f"Say {n}.", "check": {"complies": ""}} for n in range(3)]
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    store, output = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "out"
    command = [str(untrained[0]), "--attacks", str(mine), "--max-tokens", "2", "--device", "cpu", "--store", store]
    assert main([*command, "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "insufficient" in shown
    (reported,) = re.findall(r"(\d+) findings reported, 0 were", shown)
    assert 1 <= int(reported) <= 3
    report = json.loads((output / "redteam.json").read_text())
    families = {family["name"]: family for family in report["model"]["families"]}
    assert families["mine[/]"]["note"] == "insufficient evidence: 3 attacks"
    assert families["encodings"]["success"]["count"] == 18
    assert (output / "redteam.html").read_text().startswith("<!DOCTYPE html>")
    assert main(command) == 0
    assert f"\n0 findings reported, {reported} were reported before" in capsys.readouterr().out
    with Database(store) as database:
        assert [report.source for report in stored(database)] == ["redteam"] * int(reported)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["none"], "none: no such folder; give a checkpoint"),
        (["none", "--output", __file__], "test_command.py: that is a file, or lies below one; expected a folder"),
        (["none", "--attacks", "nowhere"], "nowhere: no such file or folder of attacks"),
        (["none", "--store", "nonsense"], "the store's URL can't be read"),
        (["MODEL", "--tools", "abacus"], 'there is no tool "abacus"'),
    ],
)
def test_what_is_wrong_is_one_sentence(
    given: list[str], message: str, untrained: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(untrained[0]) if word == "MODEL" else word for word in given]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--samples", "0"], "--samples is 0; it must be at least 1"),
        (["--temperature", "-1"], "temperature is -1.0"),
        (["--tools", "search"], "name the folder of a finished run by --corpus"),
    ],
)
def test_impossible_settings_are_told_before_a_model_is_looked_for(
    given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["none", *given])
    assert message in capsys.readouterr().err


def test_the_store_is_needed_by_who_asks_for_it() -> None:
    program = (
        "import sys, trainer.redteam.command;"
        "print([name for name in ('sqlalchemy', 'labeling', 'matplotlib', 'apache_beam') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
