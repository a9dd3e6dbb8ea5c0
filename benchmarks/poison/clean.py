"""What must pass: clean documents in sets, one archive each, written once.

A set whose source is not there is left out, and named among what was missing.
"""

import gzip
import json
import re
import tarfile
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from benchmarks.poison.page import read_pages
from benchmarks.poison.sources import read_benign
from benchmarks.poison.triggers import whole_page
from benchmarks.poison.warc import Document, write_documents
from benchmarks.poison.writeups import writeups

EXCERPT = 6_000
EXCERPTS_A_BOOK = 8
BENIGN_A_PAGE = 6
"""Short hard benign texts on one page, since a page of one would be too short to be extracted."""

SITES = {
    "cppreference": "en.cppreference.com",
    "libreoffice": "help.libreoffice.org",
    "postgresql": "www.postgresql.org",
    "python": "docs.python.org",
    "installation-guide": "www.debian.org",
}
"""Debian package's first words -> the site its pages are at home on."""


def crawl(patterns: list[str]) -> Iterator[Document]:
    """Real pages, decoded, with dates by their sites; a page that two archives have, once."""
    seen: set[tuple[str, int]] = set()
    for url, _, page in read_pages(patterns):
        mark = (url, zlib.crc32(page.encode("utf-8", "replace")))
        if mark not in seen:
            seen.add(mark)
            yield Document(url, page)


def books(path: Path) -> Iterator[Document]:
    """Excerpts of about EXCERPT characters from evenly spaced places of each book."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            text = json.loads(line)["text"].replace("\r\n", "\n")
            step = max(len(text) // EXCERPTS_A_BOOK, EXCERPT)
            for part, at in enumerate(range(0, len(text) - EXCERPT, step)):
                start = text.find("\n", at, at + EXCERPT // 2) + 1 or at
                yield Document(
                    f"https://library-of-old-books.org/{number}/{part}", text[start : start + EXCERPT], is_text=True
                )


def scripts(path: Path) -> Iterator[Document]:
    """The Universal Declaration of Human Rights in some 500 languages and all scripts that they are written in."""
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            try:
                root = ET.fromstring(file.read())
            except ET.ParseError:
                continue
            paragraphs = [text.strip() for text in root.itertext() if text.strip()]
            name = Path(member.name).stem.removeprefix("udhr_")
            yield Document(f"https://declaration-of-rights.org/{name}", "\n".join(paragraphs), is_text=True)


def benign(folder: Path) -> Iterator[Document]:
    """Hard benign prompts, BENIGN_A_PAGE on a page of questions."""
    for source, texts in read_benign(folder).items():
        for number, chosen in enumerate(_batched(texts, BENIGN_A_PAGE)):
            text = "\n".join(" ".join(text.split()) for text in chosen)
            page = whole_page(
                "Questions that people asked", f"Here are some questions that readers sent in this week.\n{text}"
            )
            yield Document(f"https://questions-{source.replace('_', '-')}.org/{number}", page)


def naughty(path: Path) -> Iterator[Document]:
    """Strings that break programs, in the list's order, 12 a page; those with invisible characters are left out."""
    strings = [text for text in json.loads(path.read_text("utf-8")) if text.strip() and text.isprintable()]
    for number, chosen in enumerate(_batched(strings, 12)):
        page = whole_page(
            "Strings for testing forms", "Type each of these into the form and see what it does.\n" + "\n".join(chosen)
        )
        yield Document(f"https://strings-for-testing.org/{number}", page)


def documentation(folder: Path) -> Iterator[Document]:
    """The HTML files below a folder of unpacked packages, one package a folder."""
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        site = next(
            (site for name, site in SITES.items() if package.name.startswith(name)), f"{package.name}.example.org"
        )
        for path in sorted(package.rglob("*")):
            if path.suffix in (".html", ".htm", ".xhtml") and path.is_file() and not path.is_symlink():
                text = path.read_bytes().decode("utf-8", "replace")
                yield Document(f"https://{site}/{path.relative_to(package).as_posix()}", text)


ABOUT_SECURITY = re.compile(
    r"\b(?:prompt injection|sql injection|jailbreak\w*|exploit\w*|malware|phishing|vulnerabilit\w+|penetration test\w*|"
    r"chatgpt|language models?|backdoors?|xss|cve-\d+)\b",
    re.IGNORECASE,
)


def about_security(text: str) -> bool:
    """Whether a document is counted among the pages about security as well: three such words or more."""
    return len(ABOUT_SECURITY.findall(text)) >= 3


def write_sets(
    folder: Path, patterns: list[str], data: Path | None, docs: Path | None, attacks: Path | None, quick: bool
) -> tuple[dict[str, list[str]], list[str]]:
    """Archives of each run ("web", "documentation"), and what was missing.

    `data` has books/ and text/, `docs` unpacked packages, `attacks` the collections. `quick` takes the crawl and the
    write-ups alone.
    """
    web: dict[str, Callable[[], Iterable[Document]]] = {"crawl": lambda: crawl(patterns), "writeups": writeups}
    missing: list[str] = []
    files: dict[str, Path | None] = {
        "books": data and data / "books/classic_books.jsonl.gz",
        "scripts": data and data / "text/udhr.tar.gz",
        "benign": attacks,
        "naughty": attacks and attacks / "minimaxir+big-list-of-naughty-strings/blns.json",
    }
    readers: dict[str, Callable[[Path], Iterator[Document]]] = {
        "books": books,
        "scripts": scripts,
        "benign": benign,
        "naughty": naughty,
    }
    for name, path in () if quick else files.items():
        if path and path.exists():
            web[name] = partial(readers[name], path)
        else:
            missing.append(f"{name} ({path or 'no folder named'})")
    runs = {"web": web}
    if docs and docs.is_dir() and not quick:
        runs["documentation"] = {"documentation": lambda: documentation(docs)}
    elif not quick:
        missing.append(f"documentation ({docs or 'no --docs'})")
    written = {}
    for run, sets in runs.items():
        written[run] = [str(_write(folder / run, name, documents)) for name, documents in sets.items()]
    return written, missing


def _batched(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    left = iter(texts)
    while batch := list(islice(left, size)):
        yield batch


def _write(folder: Path, name: str, documents: Callable[[], Iterable[Document]]) -> Path:
    path = folder / f"{name}.warc.gz"
    if not path.exists():
        write_documents(path, documents())
    return path
