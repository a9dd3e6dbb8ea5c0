"""Chromium is the referee: it hides what we hide, trick by trick."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.crawl.hidden.tricks import HIDES, HIDING, SECRET, SHOWS, page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium") or not shutil.which("chromedriver"), reason="no chromium here"),
]

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "hidden_text.py"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("hidden_text", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = sys.modules["hidden_text"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    driver, pages = script.browser(tmp_path_factory.mktemp("profile")), script.Pages()

    def verdicts(html: str) -> list[str | None]:
        return [kind for text, kind in pages.show(driver, html)["nodes"] if SECRET in text]

    yield verdicts
    driver.quit()
    pages.server.shutdown()


@pytest.mark.parametrize(("kind", "name"), HIDING)
def test_the_browser_hides_what_we_hide(shown: Any, kind: str, name: str) -> None:
    (verdict,) = shown(page(HIDES[kind][name]))
    assert verdict == {"hidden_attribute": "display"}.get(kind, kind) or (kind, name, verdict) in OTHERWISE


OTHERWISE = {("colour", "flat gradient", None), ("font_size", "em of em", None)}
"""The probe does not know what a gradient looks like. Chromium shows relative sizes at 6 pixels at least, Firefox does
not."""


@pytest.mark.parametrize("name", SHOWS)
def test_the_browser_shows_what_we_leave(shown: Any, name: str) -> None:
    assert shown(page(SHOWS[name])) == [None]
