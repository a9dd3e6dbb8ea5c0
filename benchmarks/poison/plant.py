"""Attacks planted into hosts: which documents go into which arm, the arm's archive, and the truth about it.

An arm is one corpus: the clean crawl without the hosts, and the planted pages, which stand at the hosts' URLs.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trafilatura

from benchmarks.poison.attack import Attack, Host, Materials
from benchmarks.poison.page import insert, plain, spots
from benchmarks.poison.warc import Document, date_of, write_documents

SIZES = (10, 25, 50, 100, 250)


@dataclass(frozen=True)
class Planned:
    """An attack with a number of documents, and its arm."""

    attack: Attack
    documents: int
    arm: int


@dataclass(frozen=True)
class Truth:
    """A planted document. `leaks`: for hidden text, whether trafilatura alone would have kept it."""

    url: str
    family: str
    source: str
    tuned: bool
    adaptive: bool
    campaign: bool
    documents: int
    where: str
    needles: tuple[str, ...]
    leaks: bool | None = None


def plan(attacks: Sequence[Attack], sizes: Sequence[int], each: int, hosts: int) -> list[Planned]:
    """Deal attacks into arms of at most `hosts` documents, campaigns once for each size, the others `each` documents.

    Raises ValueError where one campaign alone is more than the hosts.
    """
    wanted = [(attack, size) for size in sizes for attack in attacks if attack.campaign]
    wanted += [(attack, min(each, attack.most or each)) for attack in attacks if not attack.campaign]
    if any(size > hosts for _, size in wanted):
        raise ValueError(f"a campaign of {max(sizes)} documents needs as many hosts, and there are {hosts}")
    full: list[int] = []
    planned = []
    # Campaigns and single documents in arms of their own: the texts of the latter come from small collections, and
    # must not make campaigns by chance.
    for campaign in (True, False):
        first = len(full)
        for attack, size in (pair for pair in wanted if pair[0].campaign == campaign):
            arm = next((arm for arm in range(first, len(full)) if full[arm] + size <= hosts), len(full))
            if arm == len(full):
                full.append(0)
            full[arm] += size
            planned.append(Planned(attack, size, arm))
    return planned


def choose_hosts(pages: Mapping[str, Host], number: int, seed: int) -> list[Host]:
    """Pages with at least three paragraphs where a payload can be put, drawn by seed."""
    rng = random.Random(f"hosts {seed}")
    found: list[Host] = []
    for url in rng.sample(sorted(pages), len(pages)):
        if len(found) == number:
            break
        if len(spots(pages[url].html, pages[url].text)) >= 3:
            found.append(pages[url])
    return found


def plant(
    planned: Sequence[Planned], hosts: Sequence[Host], materials: Materials, seed: int
) -> Iterator[tuple[Document, Truth]]:
    """The planted pages of one arm, each on a host of its own."""
    rng = random.Random(f"arm {seed} {planned[0].arm}")
    left = rng.sample(list(hosts), len(hosts))
    for entry in planned:
        attack = entry.attack
        rng = random.Random(f"{seed} {attack.name} {entry.documents}")
        draw = attack.begin(rng, materials)
        for _ in range(entry.documents):
            host = left.pop()
            payload = draw(rng, host)
            page = insert(host, payload, rng)
            url = payload.url or host.url
            hidden = attack.family == "hidden" or attack.source.startswith("hidden_")
            leaks = remains(trafilatura.extract(page, favor_precision=True) or "", payload.needles) if hidden else None
            yield (
                Document(url, page, payload.date or date_of(url), payload.where == "text"),
                Truth(
                    url, attack.family, attack.source, attack.tuned, attack.adaptive, attack.campaign,
                    entry.documents,
                    payload.where, payload.needles, leaks,
                ),
            )  # fmt: skip


MUCH = 0.25
"""Share of the needles that may be left in a text whose attack counts as taken out: an extractor cuts lines anew."""


def remains(text: str, needles: Sequence[str]) -> bool:
    """Whether an attack still stands in a text: more than MUCH of its needles do, white space aside."""
    known = plain(text)
    pieces = [piece for piece in map(plain, needles) if piece]
    return sum(piece in known for piece in pieces) > MUCH * len(pieces)


def write_arm(folder: Path, planned: Sequence[Planned], hosts: Sequence[Host], materials: Materials, seed: int) -> None:
    """planted.warc.gz and truth.jsonl of an arm; made once."""
    truth = folder / "truth.jsonl"
    if truth.exists():
        return
    made = list(plant(planned, hosts, materials, seed))
    write_documents(folder / "planted.warc.gz", (document for document, _ in made))
    temporary = truth.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for _, row in made), "utf-8")
    temporary.replace(truth)


def read_truth(folder: Path) -> list[Truth]:
    """The truth about an arm."""
    rows = [json.loads(line) for line in (folder / "truth.jsonl").read_text("utf-8").split("\n") if line]
    return [Truth(**{**row, "needles": tuple(row["needles"])}) for row in rows]
