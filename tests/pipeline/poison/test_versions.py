"""What a corpus depends on: a changed detector makes it again, unless the filter is off."""

from typing import Any

import pytest

from pipeline.crawl import hidden
from pipeline.poison import campaigns, ngram, noise
from pipeline.poison.versions import of_data
from pipeline.recipe import parse_recipe
from pipeline.run import fingerprint

ON, OFF = parse_recipe("name: a", "on"), parse_recipe("name: a\npoison: {enabled: false}", "off")


@pytest.mark.parametrize("module", [ngram, noise, campaigns, hidden])
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
