"""What people have decided: block and allow lists, and the verdicts on documents that were held.

All are plain files, so that a team can keep them beside its recipe:

    host:spam.example          # a host, and all below it
    url:https://a.example/b    # a page
    id:8f14e45fceea167a5a36dedd4bea2543

and verdicts as JSON lines, {"id": "8f14...", "decision": "release"} or "confirm". A line that can name nothing is a
fault: whoever wrote it believes that a site is blocked.
"""

import contextlib
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.artifact import digest, open_input
from pipeline.registrant import is_public_suffix
from pipeline.url import canonical

KINDS = ("host", "url", "id")
DECISIONS = ("release", "confirm")

_HOST = re.compile(r"[^\s/:*?@\[\],;.]+(\.[^\s/:*?@\[\],;.]+)*\.?")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*:\S", re.IGNORECASE)
"""No dot: `a.example:8080/b` has a port, and no scheme."""


class ListError(Exception):
    """A list that can't be used; the message names file and line, what was found and what was expected."""


def names_above(host: str) -> Iterator[str]:
    """A host and all that it lies below: `a.b.example`, `b.example`, `example`."""
    while host:
        yield host
        host = host.partition(".")[2]


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
        return any(name in self.hosts for name in names_above(host))


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
    """Read the files of each kind. Raises ListError, for two verdicts that contradict each other too."""
    verdicts = read_verdicts(decisions)
    return Decided(
        _read_lists(block),
        _read_lists(allow),
        frozenset(id for id, row in verdicts.items() if row["decision"] == "release"),
        frozenset(id for id, row in verdicts.items() if row["decision"] == "confirm"),
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
    hosts, urls, ids = set[str](), set[str](), set[bytes]()
    for path in paths:
        for number, line in enumerate(_lines(path), 1):
            where = f"{path}:{number}"
            # An address may have a # within, but no space.
            entry = re.split(r"(?:^|\s)#" if line.lstrip().startswith("url:") else "#", line, maxsplit=1)[0].strip()
            if not entry:
                continue
            kind, _, name = entry.partition(":")
            name = name.strip()
            if kind not in KINDS or not name:
                raise ListError(f"{where}: {entry[:80]!r} names nothing; expected host:NAME, url:ADDRESS or id:HEX.")
            if kind == "host":
                hosts.add(_host(name, where))
            elif kind == "url":
                urls.add(_url(name, where))
            else:
                ids.add(_id(name, where))
    return PageList(frozenset(hosts), frozenset(urls), frozenset(ids))


def _host(name: str, where: str) -> str:
    """A host as documents have it: lowercased, no dot behind it, an IPv6 address without brackets."""
    address = name.removeprefix("[").removesuffix("]").lower()
    with contextlib.suppress(ValueError):
        ipaddress.IPv6Address(address)
        return address
    if not _HOST.fullmatch(name):
        raise ListError(
            f"{where}: {name[:80]!r} is no host's name; expected one such as spam.example, which stands for all hosts "
            "below it too (no scheme, port or path, no *)."
        )
    host = name.lower().rstrip(".")
    if is_public_suffix(host):
        raise ListError(
            f"{where}: {host!r} is a public suffix, and would stand for all sites below it; expected a host such as "
            f"spam.{host}."
        )
    return host


def _url(name: str, where: str) -> str:
    if any(map(str.isspace, name)):
        raise ListError(f"{where}: {name[:80]!r} has a space in it; expected one address a line, spaces as %20.")
    if not _SCHEME.match(name):
        raise ListError(f"{where}: {name[:80]!r} has no scheme; expected an address such as https://{name[:80]}.")
    return canonical(name)


def _id(name: object, where: str) -> bytes:
    try:
        raw = bytes.fromhex(str(name))
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise ListError(f"{where}: {str(name)[:80]!r} is no document's id; expected 32 hexadecimal digits.")
    return raw


def read_verdicts(paths: Sequence[str]) -> dict[bytes, dict[str, Any]]:
    """The rows of files of documents held that have a verdict, by id; of two that agree on one document the last.

    Raises ListError, for two that don't agree too.
    """
    verdicts: dict[bytes, dict[str, Any]] = {}
    places: dict[bytes, str] = {}
    for where, row in (found for path in paths for found in read_rows(path)):
        if "decision" not in row:
            raise ListError(f"{where}: decision is missing; expected {' or '.join(DECISIONS)} (or null).")
        if row["decision"] is None:
            continue  # exported for review, and not yet decided
        if row["decision"] not in DECISIONS:
            raise ListError(
                f"{where}: decision is {str(row['decision'])[:80]!r}; expected {' or '.join(DECISIONS)} (or null)."
            )
        if row.get("id") is None:
            raise ListError(f"{where}: id is missing, so nobody knows which document is meant; expected 32 hex digits.")
        id = _id(row["id"], where)
        before = verdicts.pop(id, row)["decision"]
        if before != row["decision"]:
            raise ListError(
                f"{where}: the decision on {id.hex()} is {row['decision']}, but {before} in {places[id]}; leave one of "
                "the two lines."
            )
        verdicts[id], places[id] = row, where
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
