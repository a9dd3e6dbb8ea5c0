"""What people named and no document is: entries of block and allow lists, verdicts. A slip of the pen blocks none."""

from dataclasses import dataclass

from pipeline.poison.ledger import READ
from pipeline.poison.lists import Decided, PageList, names_above
from pipeline.report.tables import Corpus


@dataclass(frozen=True)
class Unmatched:
    """Of one list, or of the verdicts: how many entries there are, and those that name no document, sorted."""

    entries: int
    unmatched: tuple[str, ...]


def unmatched(corpus: Corpus, decided: Decided) -> dict[str, Unmatched]:
    """`block`, `allow` and `decisions`, where they have entries, beside the documents that came to the poison step."""
    verdicts = PageList(ids=decided.released | decided.confirmed)
    lists = {"block": decided.blocked, "allow": decided.allowed, "decisions": verdicts}
    named = {name: entries for name, listed in lists.items() if (entries := _entries(listed))}
    left = {name: set(entries) for name, entries in named.items()}
    for _, batch in corpus.batches(*READ, ["id", "canonical_url", "host"]) if left else ():
        seen = {f"id:{id.hex()}" for id in batch.column("id").to_pylist()}
        seen |= {f"url:{url}" for url in batch.column("canonical_url").to_pylist()}
        hosts = batch.column("host").unique().drop_null().to_pylist()
        seen |= {f"host:{name}" for host in hosts for name in names_above(host)}
        for entries in left.values():
            entries -= seen
    return {name: Unmatched(len(entries), tuple(sorted(left[name]))) for name, entries in named.items()}


def _entries(listed: PageList) -> set[str]:
    """A list's entries as a file spells them."""
    return {
        *(f"host:{host}" for host in listed.hosts),
        *(f"url:{url}" for url in listed.urls),
        *(f"id:{id.hex()}" for id in listed.ids),
    }
