"""The sample crawl of the demo: real pages that a package ships, written as WARC.

The source distribution of formasaurus 0.10.0 (MIT) has 954 pages with their URLs, collected for recognising forms.
"""

import io
import json
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from pipeline.artifact import atomic
from pipeline.assets import Asset, open_source

PAGES = Asset("formasaurus", "0.10.0", "e2bfdd91ffac16ae3be2238b35e4b221e8902c73d62e85ba1791a02aeec6760d", source=True)
PAGES_A_FILE = 240
COLLECTED = "2016-01-01T00:00:00Z"
"""The package doesn't say when each page was fetched; a fixed date keeps the archives' bytes the same."""


def write_sample(folder: Path) -> list[Path]:
    """Fetch the package and write its pages as WARC files; returns their paths. Files that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"sample-{number:05d}.warc.gz" for number in range(-(-954 // PAGES_A_FILE))]
    if all(path.exists() for path in paths):
        return paths
    root = f"formasaurus-{PAGES.version}/formasaurus/data"
    with open_source(PAGES) as package:
        index = json.load(package.extractfile(f"{root}/index.json"))  # type: ignore[arg-type]
        members = {name: package.extractfile(f"{root}/{name}") for name in index}
        pages = [
            (entry["url"], member.read())
            for (_, entry), member in zip(index.items(), members.values(), strict=True)
            if member
        ]
    for number, path in enumerate(paths):
        with atomic(str(path)) as file:
            writer = WARCWriter(file, gzip=True)
            for place, (url, html) in enumerate(pages[number * PAGES_A_FILE : (number + 1) * PAGES_A_FILE]):
                _write_page(writer, url, html, number * PAGES_A_FILE + place)
    return paths


def _write_page(writer: WARCWriter, url: str, html: bytes, number: int) -> None:
    # The package keeps its pages as UTF-8, whatever their own <meta> says; five of 954 are something else.
    media = "text/html; charset=utf-8" if _is_utf8(html) else "text/html"
    headers = StatusAndHeaders("200 OK", [("Content-Type", media), ("Content-Length", str(len(html)))], "HTTP/1.1")
    extra = {"WARC-Date": COLLECTED, "WARC-Record-ID": f"<urn:formasaurus:{PAGES.version}:{number:04d}>"}
    record = writer.create_warc_record(
        url, "response", payload=io.BytesIO(html), http_headers=headers, warc_headers_dict=extra
    )
    writer.write_record(record)


def _is_utf8(html: bytes) -> bool:
    try:
        html.decode()
    except UnicodeDecodeError:
        return False
    return True
