"""What the tests share: where the real data lies, when it is there."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import settings
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

# A loaded machine is no fault of the code; and CI judges a change, so it tries the same examples each time.
settings.register_profile("corpuscle", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("corpuscle")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real crawls, books and evaluation sets, which lies outside the project."""
    folder = Path(os.environ.get("CORPUSCLE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "README.md").exists():
        pytest.skip(f"no real data at {folder}; set CORPUSCLE_DATA to the folder that holds it")
    return folder


Page = tuple[str, bytes]


def write_warc(path: Path, pages: list[Page], status: str = "200 OK") -> Path:
    """A WARC file of responses, as a crawler writes it; record ids follow from the file's name and the place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=path.suffix == ".gz")
        for number, (url, body) in enumerate(pages):
            http = StatusAndHeaders(status, [("Content-Type", "text/html; charset=utf-8")], "HTTP/1.1")
            headers = {"WARC-Date": "2024-01-01T00:00:00Z", "WARC-Record-ID": f"<urn:test:{path.name}:{number}>"}
            writer.write_record(
                writer.create_warc_record(
                    url, "response", payload=io.BytesIO(body), http_headers=http, warc_headers_dict=headers
                )
            )
    return path


@pytest.fixture(scope="session")
def sample_pages() -> list[Page]:
    """120 articles of made-up but varied English on 30 hosts, two exact copies and two near copies among them."""
    words = (
        "river mountain teacher morning village garden history science music letter window bridge market "
        "summer winter doctor captain island harbour library journey painter forest kitchen station street "
        "the of and to have with that be in a was for on his her they it as at by from or an were which"
    ).split()
    pages = []
    for number in range(120):
        state = number * 7919 + 17
        paragraphs = []
        for _ in range(4 + number % 4):
            sentences = []
            for _ in range(5):
                chosen = []
                for _ in range(12):
                    state = (state * 1103515245 + 12345) % 2**31
                    chosen.append(words[(state >> 8) % len(words)])
                sentences.append(" ".join(chosen).capitalize() + ".")
            paragraphs.append(f"<p>{' '.join(sentences)}</p>")
        body = f"<html><head><title>Page {number}</title></head><body><article><h1>On the {words[number % 26]}</h1>"
        body += "".join(paragraphs) + "</article></body></html>"
        pages.append((f"https://host{number % 30}.example/page/{number}", body.encode()))
    pages.append(("https://copy.example/0", pages[0][1]))
    pages.append(("https://copy.example/1", pages[1][1]))
    pages.append(
        ("https://near.example/2", pages[2][1].replace(b"</article>", b"<p>One more line was added.</p></article>"))
    )
    pages.append(
        ("https://near.example/3", pages[3][1].replace(b"</article>", b"<p>Read on tomorrow here.</p></article>"))
    )
    return pages


@pytest.fixture(scope="session")
def sample_crawl(tmp_path_factory: pytest.TempPathFactory, sample_pages: list[Page]) -> Path:
    """The sample pages in three WARC files."""
    folder = tmp_path_factory.mktemp("crawl")
    for number in range(3):
        write_warc(folder / f"pages-{number}.warc.gz", sample_pages[number::3])
    return folder
