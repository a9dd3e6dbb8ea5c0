"""What a corpus depends on: a changed detector makes it again, unless the filter is off."""

import json
from typing import Any

import pytest

from pipeline.crawl import hidden, invisible_marks
from pipeline.poison import campaigns, ngram, noise
from pipeline.poison.versions import APPLY, INSPECT, MODEL, of_data
from pipeline.recipe import parse_recipe
from pipeline.run import fingerprint
from tests.pipeline.poison import golden

ON, OFF = parse_recipe("name: a", "on"), parse_recipe("name: a\npoison: {enabled: false}", "off")


@pytest.mark.parametrize("module", [ngram, noise, campaigns, hidden, invisible_marks])
def test_a_changed_module_makes_a_corpus_anew_where_the_filter_is_on(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(ON, []), fingerprint(OFF, [])
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    after = fingerprint(ON, []), fingerprint(OFF, [])
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_data_files_are_told_apart() -> None:
    assert len({of_data(), of_data("instructions.npz"), of_data("jailbreaks.npz")}) == 3


def test_every_module_with_a_version_is_looked_at() -> None:
    assert golden.LOOKS.keys() == {*MODEL, *INSPECT, *APPLY, "crawl.hidden", "crawl.invisible_marks"}
    assert json.loads(golden.FILE.read_text()).keys() == golden.LOOKS.keys()


@pytest.mark.parametrize("module", golden.LOOKS)
def test_a_module_that_finds_something_else_has_another_version(module: str) -> None:
    known, now = json.loads(golden.FILE.read_text())[module], golden.seen(module)
    write = "run `python -m tests.pipeline.poison.golden`"
    if now["digest"] != known["digest"] and now["version"] == known["version"]:
        pytest.fail(f"{module} finds something else than version {known['version']} did: raise its VERSION and {write}")
    assert now == known, f"{module} has a new version: {write}"
