"""In a real browser: what strangers wrote is text and nothing else, and nothing sticks out on a phone."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.report import write_report
from pipeline.stage import Rule
from tests.pipeline.report.conftest import GOOD, Page, Plan

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=2000 --dump-dom"
).split()

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

SCRIPT = "<script>document.title='taken'</script>"
IMAGE = '"><img src=x onerror="document.title=\'taken\'">'
HOSTILE = Plan(
    pages=(
        Page(f"{GOOD} {SCRIPT} {IMAGE}", url=f"https://evil.example/{IMAGE}{SCRIPT}", host=IMAGE),
        Page(f"{GOOD} {SCRIPT} {IMAGE} too", url=f"javascript:{IMAGE}", host=SCRIPT, copy_of=0),
        Page(f"{SCRIPT} {IMAGE}", url=f"https://evil.example/2{IMAGE}"),
        Page(f"</blockquote></details>{SCRIPT}", url=f"https://evil.example/3{SCRIPT}", removed=IMAGE, language=SCRIPT),
    ),
    unreadable=((f"https://evil.example/4{IMAGE}", SCRIPT, f"{IMAGE}{SCRIPT}"),),
    rules=(Rule(f"{SCRIPT}{IMAGE}", "words", minimum=10),),
    block=f"{IMAGE}{SCRIPT}",
    warc_file=f"{IMAGE}.warc.gz",
    run={"recipe": f"</title>{SCRIPT}", "description": f"</style>{SCRIPT}{IMAGE}"},
)

PROBE = """<pre id=probe></pre><script>
document.querySelectorAll('details').forEach(one => one.open = true);
probe.textContent = JSON.stringify({
  text: document.body.innerText, title: document.title, scripts: document.scripts.length,
  images: document.images.length, links: [...document.links].map(one => one.getAttribute('href')),
});
</script>"""

PHONE = """<pre id=probe></pre><iframe id=phone style="width:390px;height:800px;border:0" srcdoc="%s"></iframe><script>
phone.onload = () => {
  const page = phone.contentDocument;
  page.querySelectorAll('details').forEach(one => one.open = true);
  probe.textContent = JSON.stringify({wide: page.documentElement.scrollWidth, seen: page.documentElement.clientWidth});
};
</script>"""


def dump(path: Path, page: str, profile: Path) -> str:
    """The document as it is after the browser has loaded the page."""
    assert CHROMIUM
    path.write_text(page)
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", path.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def probe(path: Path, page: str, profile: Path) -> dict:
    """What the script of a page with a probe found."""
    found = re.search(r'<pre id="probe">(.*?)</pre>', dump(path, page, profile), re.DOTALL)
    assert found
    return json.loads(html.unescape(found[1]))


def unprotected(page: str) -> str:
    """The page without its content security policy: escaping alone has to do."""
    without, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert removed == 1
    return without


@pytest.fixture
def hostile(make: Callable[[Plan], str]) -> str:
    return Path(write_report(make(HOSTILE))).read_text()


def test_no_script_of_a_page_runs(hostile: str, tmp_path: Path) -> None:
    dumped = dump(tmp_path / "page.html", hostile, tmp_path / "profile")
    assert "<title>&lt;/title&gt;&lt;script&gt;" in dumped
    assert "<script" not in dumped
    assert "<img" not in dumped


def test_even_without_the_policy_hostile_text_is_shown_as_text(hostile: str, tmp_path: Path) -> None:
    found = probe(tmp_path / "page.html", unprotected(hostile) + PROBE, tmp_path / "profile")
    assert (found["scripts"], found["images"]) == (1, 0)  # the probe's own script
    assert found["title"].startswith(f"</title>{SCRIPT}")
    assert all(link.startswith("#") for link in found["links"])
    excerpt, url, description = (
        f"</blockquote></details>{SCRIPT}",
        f"https://evil.example/2{IMAGE}",
        f"</style>{SCRIPT}",
    )
    for text in (excerpt, url, description):
        assert text in found["text"]


def test_a_hostile_block_or_file_name_is_text_too(hostile: str, tmp_path: Path) -> None:
    found = probe(tmp_path / "page.html", unprotected(hostile) + PROBE, tmp_path / "profile")
    assert f"{IMAGE}.warc.gz" in found["text"]
    assert f"{IMAGE}{SCRIPT}" in found["text"]


def test_nothing_sticks_out_on_a_phone(hostile: str, small: str, tmp_path: Path) -> None:
    for name, page in (("hostile", hostile), ("small", Path(write_report(small)).read_text())):
        frame = PHONE % html.escape(unprotected(page), quote=True)
        found = probe(tmp_path / f"{name}.html", frame, tmp_path / "profile")
        assert found["wide"] == found["seen"]
