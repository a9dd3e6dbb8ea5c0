"""Hidden text as pipeline.crawl.hidden finds it against what Chromium shows, on real pages.

    python -m benchmarks.hidden_text --crawl FOLDER [--pages 200] [--half report] [--json FILE] [--examples 5]

Chromium gets a page's HTML as the archive has it, with scripts and the network off; `noscript` is hidden, as it is from
people. For each text node it is asked for computed styles and rectangles. Neither side sees stylesheets outside the
page. Text nodes are matched by their text, and where it occurs several times by how often it is hidden. Pages are dealt
into two halves by a hash of their host: constants were tuned on one, and the other is what to report.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from trafilatura.utils import load_html

from pipeline.crawl.hidden.strip import SIGNALS
from pipeline.crawl.hidden.walk import Walker
from pipeline.crawl.http import decode_text, parse_response, sniff_html
from pipeline.crawl.prune import quicken
from pipeline.crawl.warc import Record, read_warc
from pipeline.url import host

ELSEWHERE = SIGNALS | {"template", "fallback"}
"""Kinds that are no text nodes of the page to Chromium, or not ours to judge."""
POLICY = "default-src 'none'; style-src 'unsafe-inline' data:"
MOST_BODY_BYTES = 8 << 20
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1280,900 --blink-settings=imagesEnabled=false"
).split()

PROBE = r"""
for (const one of document.getAnimations()) try { one.finish(); } catch { one.cancel(); }
const SKIP = 'script,style,noscript,template,title,textarea,select,option,datalist,svg,math,video,audio,canvas,' +
  'iframe,object,applet,noembed,noframes,head';
const styles = new Map(), paints = new Map();
const style = e => styles.get(e) || (styles.set(e, getComputedStyle(e)), styles.get(e));
const rgba = text => {
  const m = /^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(text);
  return m && [+m[1] / 255, +m[2] / 255, +m[3] / 255, m[4] === undefined ? 1 : +m[4]];
};
const over = (a, b) => [0, 1, 2].map(i => a[3] * a[i] + (1 - a[3]) * b[i]).concat(1);
const light = c => c.slice(0, 3).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
const alike = (a, b) => {
  const c = over(a, b), [x, y] = [light(c), light(b)];
  if (Math.max(...[0, 1, 2].map(i => Math.abs(c[i] - b[i]))) > 32 / 255) return false;
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05) < 1.2;
};
const paint = e => {  // what lies behind the text of an element: a colour, or null where there is a picture
  const way = [];
  let at = e, behind = [1, 1, 1, 1];
  for (; at && !paints.has(at); at = at.parentElement) way.push(at);
  if (at) behind = paints.get(at);
  for (const one of way.reverse()) {
    const s = style(one), flat = rgba(s.backgroundColor);
    if (!flat || (s.backgroundImage !== 'none' && s.webkitBackgroundClip !== 'text')) behind = null;
    else if (flat[3] === 1) behind = flat;
    else if (behind) behind = over(flat, behind);
    paints.set(one, behind);
  }
  return behind;
};
const clipped = (e, rect) => {
  let box = {left: rect.left, right: rect.right, top: rect.top, bottom: rect.bottom}, free = null;
  for (let at = e; at && at !== document.body && at !== document.documentElement; at = at.parentElement) {
    const s = style(at), own = at.getBoundingClientRect(), placed = s.position !== 'static' || s.transform !== 'none';
    if (['absolute', 'fixed'].includes(s.position) && /^rect\(/.test(s.clip)) {
      const n = s.clip.match(/-?[\d.]+px|auto/g).map(v => v === 'auto' ? NaN : parseFloat(v));
      if (n[2] - n[0] <= 1 || n[1] - n[3] <= 1) return 'clipped';
    }
    const inset = /^inset\(([^)]*)\)/.exec(s.clipPath);
    if (inset && inset[1].split(' ').every(v => parseFloat(v) >= 50 && v.endsWith('%'))) return 'clipped';
    if (/^(circle|ellipse)\(0(px|%)?[ )]/.test(s.clipPath)) return 'clipped';
    if (!(free === 'fixed' || (free === 'absolute' && !placed)) && s.display !== 'inline') {
      const cuts = s.overflowX !== 'visible' || s.overflowY !== 'visible';
      if (cuts && (at.clientWidth <= 1 || at.clientHeight <= 1) && at.tagName !== 'TD') return 'clipped';
      if (['hidden', 'clip'].includes(s.overflowX)) {
        box.left = Math.max(box.left, own.left); box.right = Math.min(box.right, own.right);
      }
      if (['hidden', 'clip'].includes(s.overflowY)) {
        box.top = Math.max(box.top, own.top); box.bottom = Math.min(box.bottom, own.bottom);
      }
    }
    if (['absolute', 'fixed'].includes(s.position)) free = s.position;
    else if (free === 'absolute' && placed) free = null;
  }
  return box.right - box.left <= 1 || box.bottom - box.top <= 1 ? 'cut_by_layout' : null;
};
const verdict = node => {
  const e = node.parentElement, range = document.createRange();
  let opacity = 1, on_demand = false;
  for (let at = e; at; at = at.parentElement) {
    const s = style(at);
    if (s.display === 'none') return 'display';
    if (s.contentVisibility === 'hidden' && at.tagName !== 'DETAILS') return 'display';
    if (at.tagName === 'DETAILS' && !at.open && !e.closest('summary')) on_demand = true;
    opacity *= +s.opacity;
    if (/opacity\(0/.test(s.filter)) opacity = 0;
  }
  const s = style(e);
  if (opacity < 0.05) return 'opacity';
  if (s.visibility !== 'visible') return 'visibility';
  if (parseFloat(s.fontSize) <= 2) return 'font_size';
  if (on_demand) return null;
  range.selectNodeContents(node);
  const rect = range.getBoundingClientRect();
  if (!range.getClientRects().length) return 'no_box';
  const [x, y] = [scrollX, scrollY];
  if (rect.right + x <= 0 || rect.bottom + y <= 0 || rect.left + x >= 2000) return 'off_screen';
  if (rect.width < 0.5 || rect.height < 0.5) return 'clipped';
  const cut = clipped(e, rect);
  if (cut) return cut;
  const fill = rgba(s.webkitTextFillColor), behind = paint(e);
  if (fill && behind && s.textShadow === 'none' && alike(fill, behind)) return 'colour';
  return null;
};
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, text = node.data.replace(/\s+/g, ' ').trim();
  if (text && !node.parentElement.closest(SKIP)) found.push([text, verdict(node)]);
}
return {nodes: found, seen: document.body.innerText.length, url: location.href};
"""


@dataclass
class Tally:
    """Characters and text nodes of one kind: found by both, by us alone, by the browser alone."""

    both: Counter[str] = field(default_factory=Counter)
    ours: Counter[str] = field(default_factory=Counter)
    theirs: Counter[str] = field(default_factory=Counter)


class Pages:
    """Serves one page at a time to the browser, on this machine only."""

    def __init__(self) -> None:
        self.html = ""
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages.html.encode("utf-8", "replace") if self.path.startswith("/page") else b""
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.number = 0

    def show(self, driver: Any, html: str) -> Any:
        """What PROBE says of the page; None where the page went elsewhere."""
        self.html, self.number = html, self.number + 1
        address = f"http://127.0.0.1:{self.server.server_port}/page{self.number}"
        driver.get(address)
        found = driver.execute_script(PROBE)
        return found if found["url"].startswith(address) else None


def browser(profile: Path) -> Any:
    """Headless Chromium without a network."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        raise SystemExit("no chromium or chromedriver here: install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]:
        options.add_argument(flag)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    found.set_page_load_timeout(60)
    return found


def real_pages(folder: Path) -> Iterator[tuple[str, str]]:
    """(URL, HTML) of the pages of all archives in a folder."""
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in read_warc(file):
                if not isinstance(record, Record) or not record.is_http:
                    continue
                payload = parse_response(record.block, max_body_bytes=MOST_BODY_BYTES)
                if payload.error is None and payload.body and sniff_html(payload.body):
                    yield record.url, decode_text(payload.body, payload.charset, True)[0]


def half_of(url: str) -> str:
    """By the host, so that pages of one site are on one side."""
    return "tune" if hashlib.sha256(host(url).encode()).digest()[0] % 2 else "report"


def sample(folder: Path, half: str, number: int) -> list[tuple[str, str]]:
    """Pages in the order of a hash of their URLs, so that each sample holds the smaller ones."""
    pages = [page for page in real_pages(folder) if half in ("both", half_of(page[0]))]
    return sorted(pages, key=lambda page: hashlib.sha256(page[0].encode()).digest())[:number]


def our_nodes(html: str) -> tuple[dict[str, Counter[str]], float] | None:
    """Text -> how often it is hidden as which kind; processor milliseconds that it took."""
    tree = load_html(html)
    if tree is None:
        return None
    start = time.process_time()
    walked = Walker(tree).walk()
    took = (time.process_time() - start) * 1000
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for region in walked.hidden:
        if region.kind not in ELSEWHERE:
            for text in region.texts:
                found[" ".join(text.split())][region.kind] += 1
    return found, took


def compare(ours: dict[str, Counter[str]], nodes: list[list[Any]], tally: dict[str, Tally]) -> list[tuple[str, ...]]:
    """Adds one page's counts; returns the disagreements as (who, kind, text)."""
    theirs: dict[str, Counter[str]] = defaultdict(Counter)
    shown: Counter[str] = Counter()
    for text, kind in nodes:
        text = " ".join(text.split())
        shown[text] += 1
        if kind is not None:
            theirs[text][kind] += 1
    disagreements: list[tuple[str, ...]] = []
    for text in ours.keys() | theirs.keys():
        if text not in shown:
            continue  # the parsers don't agree on what the text is
        mine, other = Counter(ours.get(text, {})), Counter(theirs.get(text, {}))
        both = min(mine.total(), other.total())
        for kinds, who in ((mine, "ours"), (other, "theirs")):
            left = both
            for kind, count in sorted(kinds.items()):
                common = min(left, count)
                left -= common
                _add(tally[f"{who}:{kind}"].both, common, text)
                _add(getattr(tally[f"{who}:{kind}"], who), count - common, text)
                if count > common:
                    disagreements.append((who, kind, text))
    return disagreements


def _add(counter: Counter[str], count: int, text: str) -> None:
    counter["nodes"] += count
    counter["chars"] += count * len(text)


def summary(tally: dict[str, Tally]) -> dict[str, Any]:
    """Precision by our kinds, recall by the browser's, and both over all."""
    rows: dict[str, Any] = {"precision": {}, "recall": {}}
    for measure, who in (("precision", "ours"), ("recall", "theirs")):
        kinds = {key.partition(":")[2]: value for key, value in tally.items() if key.startswith(who)}
        everything = Tally()
        for value in kinds.values():
            everything.both += value.both
            setattr(everything, who, getattr(everything, who) + getattr(value, who))
        for kind, value in [*sorted(kinds.items()), ("all", everything)]:
            alone = getattr(value, who)
            rows[measure][kind] = {unit: _share(value.both[unit], alone[unit]) for unit in ("nodes", "chars")}
    return rows


def _share(both: int, alone: int) -> dict[str, Any]:
    total = both + alone
    return {"agreed": both, "of": total, "share": round(both / total, 4) if total else None}


def print_table(rows: dict[str, Any]) -> None:
    for measure, kinds in rows.items():
        print(f"\n{measure:18} {'text nodes':>22} {'characters':>26}")
        for kind, units in kinds.items():
            cells = [
                f"{units[unit]['agreed']:,}/{units[unit]['of']:,} {units[unit]['share'] or 0:7.1%}"
                for unit in ("nodes", "chars")
            ]
            print(f"{kind:18} {cells[0]:>22} {cells[1]:>26}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crawl", type=Path, required=True, help="a folder of *.warc.gz")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--half", choices=["tune", "report", "both"], default="report")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--examples", type=int, default=0, help="print this many disagreements of each kind")
    options = parser.parse_args()
    quicken()
    chosen = sample(options.crawl, options.half, options.pages)
    if not chosen:
        raise SystemExit(f"{options.crawl}: no pages in *.warc.gz there")
    tally: dict[str, Tally] = defaultdict(Tally)
    examples: dict[tuple[str, str], list[str]] = defaultdict(list)
    compared, with_hidden, shown_nodes, times = 0, 0, 0, []
    with tempfile.TemporaryDirectory() as profile:
        driver, pages = browser(Path(profile)), Pages()
        try:
            for url, html in chosen:
                ours = our_nodes(html)
                try:
                    seen = pages.show(driver, html) if ours is not None else None
                except WebDriverException:
                    seen = None
                if ours is None or seen is None:
                    continue
                compared += 1
                times.append(ours[1])
                shown_nodes += len(seen["nodes"])
                with_hidden += any(kind is not None for _, kind in seen["nodes"])
                for who, kind, text in compare(ours[0], seen["nodes"], tally):
                    examples[who, kind].append(f"{text[:100]!r}  {url}")
        finally:
            driver.quit()
    rows = summary(tally)
    print(f"{compared} of {len(chosen)} pages compared ({options.half} half), {shown_nodes:,} text nodes; ")
    print(
        f"Chromium hides text on {with_hidden} of them; the walk took {sum(times) / max(len(times), 1):.1f} ms a page"
    )
    print_table(rows)
    for (who, kind), texts in sorted(examples.items()):
        for text in texts[:: max(len(texts) // options.examples, 1)][: options.examples] if options.examples else ():
            print(f"only {who}, {kind}: {text}")
    if options.json:
        figures = {"pages": compared, "half": options.half, "with_hidden": with_hidden, "nodes": shown_nodes, **rows}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
