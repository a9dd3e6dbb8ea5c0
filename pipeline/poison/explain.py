"""Why a document was pointed at, and whom a rule points at: for `corpuscle poison explain`."""

from dataclasses import dataclass

from pipeline.crawl.registrant import registrant
from pipeline.explain import ExplainError
from pipeline.explain import explain as find_story
from pipeline.poison.ledger import STEP, Seen, has_ledger, read_findings, read_texts, see
from pipeline.report.tables import Corpus

FIRST = 10
"""Documents of a rule that are shown."""


@dataclass(frozen=True)
class Document:
    """A document that came to the poison step, or did not (then `outcome` says where it went)."""

    id: str
    url: str
    outcome: str
    reason: str | None
    seen: tuple[Seen, ...]


@dataclass(frozen=True)
class RuleFound:
    """The documents that a rule points at."""

    documents: int
    owners: int
    first: tuple[tuple[str, Seen], ...]


def _corpus(folder: str) -> Corpus:
    corpus = Corpus(folder)
    if not has_ledger(corpus):
        raise ExplainError(f"{folder}: its recipe switches the poison filter off, so nothing was looked for.")
    return corpus


def explain_document(folder: str, target: str) -> list[Document]:
    """What was found in the documents that `target` names (as for `corpuscle explain`). Raises ExplainError."""
    corpus = _corpus(folder)
    documents = []
    for story in find_story(folder, target):
        lineage = story.lineage
        if "address" not in lineage:
            documents.append(Document("", lineage["url"], "quarantined", story.stations[0].reason, ()))
            continue
        address = lineage["address"]
        station = next((station for station in story.stations if station.step == STEP), story.stations[-1])
        texts = read_texts(corpus, [address], ["text"])
        found = [row for batch in read_findings(corpus, [address]) for row in batch.to_pylist()]
        seen = tuple(see(row, texts[address]["text"]) for row in found)
        outcome = station.outcome if station.step == STEP else f"{station.outcome} by the step {station.step}, before"
        documents.append(Document(lineage["id"].hex(), lineage["url"], outcome, station.reason, seen))
    return documents


def explain_rule(folder: str, rule: str) -> RuleFound:
    """The documents that a rule points at, the first ones with their text. Raises ExplainError."""
    corpus = _corpus(folder)
    rows: dict[int, dict] = {}
    for batch in read_findings(corpus):
        for row in batch.to_pylist():
            if row["rule"] == rule:
                rows.setdefault(row["address"], row)
    hosts = read_texts(corpus, rows, ["host"])
    first = sorted(rows)[:FIRST]
    texts = read_texts(corpus, first, ["url", "text"])
    owners = {registrant(row["host"] or "") for row in hosts.values()}
    shown = tuple((texts[address]["url"], see(rows[address], texts[address]["text"])) for address in first)
    return RuleFound(len(rows), len(owners), shown)
