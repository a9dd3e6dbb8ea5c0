"""Why a document was pointed at, and whom a rule points at: for `corpuscle poison explain`."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.explain import ExplainError, Station, Story
from pipeline.explain import explain as find_story
from pipeline.poison.ledger import STEP, Seen, has_ledger, read_findings, read_hidden, read_texts, see, see_all
from pipeline.poison.rules import RULES
from pipeline.poison.tally import Tally, tally
from pipeline.report.tables import Corpus

FIRST = 10
"""Documents of a rule that are shown."""
SHOWN_HIDDEN = 8
"""Hidden passages of a page that are shown."""


@dataclass(frozen=True)
class Document:
    """A document that came to the poison step, or did not (then `outcome` says where it went).

    `later` says which step behind that one removed it. `hidden` has passages that the page hides from people,
    SHOWN_HIDDEN at most; `more_hidden` counts the others.
    """

    id: str
    url: str
    outcome: str
    reason: str | None
    seen: tuple[Seen, ...]
    hidden: tuple[str, ...] = ()
    more_hidden: int = 0
    later: str = ""


@dataclass(frozen=True)
class RuleFound:
    """The documents that a rule points at; of the first ones the id, the URL, and what was seen."""

    documents: int
    owners: int
    first: tuple[tuple[str, str, Seen], ...]


def _corpus(folder: str) -> Corpus:
    corpus = Corpus(folder)
    if not has_ledger(corpus):
        raise ExplainError(f"{folder}: its recipe switches the poison filter off, so nothing was looked for.")
    return corpus


def explain_document(folder: str, target: str) -> list[Document]:
    """What was found in the documents that `target` names (as for `corpuscle explain`). Raises ExplainError."""
    corpus = _corpus(folder)
    documents = []
    for story in _stories(folder, target):
        lineage = story.lineage
        if "address" not in lineage:
            documents.append(Document("", lineage["url"], "quarantined", story.stations[0].reason, ()))
            continue
        address = lineage["address"]
        station = next((station for station in story.stations if station.step == STEP), story.stations[-1])
        texts = read_texts(corpus, [address], ["text"])
        seen = tuple(see_all(read_findings(corpus, address), texts[address]["text"])) if address in texts else ()
        hidden = read_hidden(corpus, [address]).get(address, [])
        by = "the poison filter" if station.step == STEP else f"the step {station.step}, before"
        shown, more = tuple(hidden[:SHOWN_HIDDEN]), max(len(hidden) - SHOWN_HIDDEN, 0)
        told = (f"{station.outcome} by {by}", station.reason, seen, shown, more, _later(story, station))
        documents.append(Document(lineage["id"].hex(), lineage["url"], *told))
    return documents


def _later(story: Story, station: Station) -> str:
    last = story.stations[-1]
    if last is station or last.outcome == "kept":
        return ""
    return f"{last.outcome} by the step {last.step}, after it: {last.reason}"


def _stories(folder: str, target: str) -> list[Story]:
    """Raises ExplainError, which names the rules where the target may have been meant as one."""
    try:
        return find_story(folder, target)
    except ExplainError as error:
        if not re.fullmatch(r"[a-z_]+", target):
            raise
        near = get_close_matches(target, RULES, 1)
        meant = f"; did you mean {near[0]}?" if near else f": those are {', '.join(RULES)}."
        raise ExplainError(f"{error} It is no rule either{meant}") from None


def explain_rule(folder: str, rule: str) -> RuleFound:
    """The documents that a rule points at, the first ones with their text. Raises ExplainError."""
    corpus = _corpus(folder)
    found = tally(corpus, FIRST, lambda addresses: addresses, rule).get(rule, Tally())
    first = [row for _, row in found.shown]
    texts = read_texts(corpus, (row["address"] for row in first), ["id", "url", "text"])
    pages = [texts[row["address"]] for row in first]
    shown = [(page["id"].hex(), page["url"], see(row, page["text"])) for row, page in zip(first, pages, strict=True)]
    return RuleFound(found.documents, len(found.owners), tuple(shown))
