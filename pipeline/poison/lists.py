"""What people have decided: block and allow lists, and the verdicts on documents that were held.

All are plain files, so that a team can keep them beside its recipe:

    host:spam.example          a host, and all below it
    url:https://a.example/b    a page
    id:8f14e45fceea167a5a36dedd4bea2543

and verdicts as JSON lines, {"id": "8f14...", "decision": "release"} or "confirm".
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.artifact import digest, open_input
from pipeline.url import canonical

KINDS = ("host", "url", "id")
DECISIONS = ("release", "confirm")


class ListError(Exception):
    """A list that can't be used; the message names file and line, what was found and what was expected."""


@dataclass(frozen=True)
class PageList:
    """Hosts, pages and documents by name."""

    hosts: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    ids: frozenset[bytes] = frozenset()

    def holds(self, ids: pa.Array, urls: pa.Array, hosts: pa.Array) -> npt.NDArray[np.bool_]:
        """Which documents are on the list; `urls` are canonical."""
        if not (self.hosts or self.urls or self.ids):
            return np.zeros(len(ids), np.bool_)
        rows = zip(ids.to_pylist(), urls.to_pylist(), hosts.to_pylist(), strict=True)
        return np.fromiter(
            (id in self.ids or url in self.urls or self._below(host or "") for id, url, host in rows),
            np.bool_,
            len(ids),
        )

    def _below(self, host: str) -> bool:
        while host:
            if host in self.hosts:
                return True
            host = host.partition(".")[2]
        return False


@dataclass(frozen=True)
class Decided:
    """Everything that people decided about documents: blocked, allowed, released and confirmed."""

    blocked: PageList = PageList()
    allowed: PageList = PageList()
    released: frozenset[bytes] = frozenset()
    confirmed: frozenset[bytes] = field(default_factory=frozenset)

    @property
    def content(self) -> str:
        """A digest, for fingerprints."""
        lists = [[sorted(page.hosts), sorted(page.urls), _hex(page.ids)] for page in (self.blocked, self.allowed)]
        return digest([lists, _hex(self.released), _hex(self.confirmed)])


NOTHING_DECIDED = Decided()


def _hex(ids: Iterable[bytes]) -> list[str]:
    return sorted(id.hex() for id in ids)


def read_decided(block: Sequence[str], allow: Sequence[str], decisions: Sequence[str]) -> Decided:
    """Read the files of each kind. Of two verdicts on one document the last counts. Raises ListError."""
    verdicts: dict[bytes, str] = {}
    for path in decisions:
        verdicts |= _read_decisions(path)
    return Decided(
        _read_lists(block),
        _read_lists(allow),
        frozenset(id for id, verdict in verdicts.items() if verdict == "release"),
        frozenset(id for id, verdict in verdicts.items() if verdict == "confirm"),
    )


def _lines(path: str) -> list[str]:
    try:
        with open_input(path) as file:
            return file.read().decode("utf-8-sig").split("\n")  # a JSON string may hold other line ends
    except UnicodeDecodeError:
        raise ListError(f"{path} is not text in UTF-8.") from None
    except OSError as error:
        raise ListError(f"{path} can't be read: {error.strerror or error}.") from None


def _read_lists(paths: Sequence[str]) -> PageList:
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            entry = line.split("#", 1)[0].strip() if not line.startswith("url:") else line.strip()
            if not entry:
                continue
            kind, _, name = entry.partition(":")
            if kind not in KINDS or not name.strip():
                raise ListError(
                    f"{path}:{number}: {entry[:80]!r} names nothing; expected host:NAME, url:ADDRESS or id:HEX."
                )
            found[kind].add(name.strip())
            if kind == "id":
                _id(name.strip(), f"{path}:{number}")
    return PageList(
        frozenset(host.lower().rstrip(".") for host in found["host"]),
        frozenset(canonical(url) for url in found["url"]),
        frozenset(bytes.fromhex(id) for id in found["id"]),
    )


def _id(name: object, where: str) -> bytes:
    try:
        raw = bytes.fromhex(str(name))
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise ListError(f"{where}: {str(name)[:80]!r} is no document's id; expected 32 hexadecimal digits.")
    return raw


def _read_decisions(path: str) -> dict[bytes, str]:
    return {id: row["decision"] for id, row in read_verdicts(path).items()}


def read_verdicts(path: str) -> dict[bytes, dict[str, Any]]:
    """The rows of a file of documents held that have a verdict, by id; of two on one document the last.

    Raises ListError.
    """
    verdicts: dict[bytes, dict[str, Any]] = {}
    for where, row in read_rows(path):
        if row.get("decision") is None:
            continue  # exported for review, and not yet decided
        if row["decision"] not in DECISIONS:
            raise ListError(
                f"{where}: decision is {str(row['decision'])[:80]!r}; expected {' or '.join(DECISIONS)} (or null)."
            )
        id = _id(row.get("id"), where)
        verdicts.pop(id, None)
        verdicts[id] = row
    return verdicts


def read_rows(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(FILE:LINE, row) of a file of documents held. Raises ListError."""
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ListError(f"{where}: not a JSON object; expected a line with id and decision.")
        yield where, row
