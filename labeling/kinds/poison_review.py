"""Poison review: a document that a filter held, with what the filter found in it; a person confirms or releases it."""

from collections.abc import Sequence

from labeling.kinds import page
from labeling.kinds.kind import LIMIT, Draft, InvalidSampleError, Json, Order
from labeling.kinds.results import Control, read
from labeling.kinds.texts import checked, remarks, seen, text, visible
from labeling.storable import storable

DECISIONS = {"confirm": "Poison: keep it out", "release": "Harmless: let it through"}
DECISION = Control("decision", "text", "choices", tuple(DECISIONS))

FINDINGS = 200
"""Most findings that are shown of a document; a person has decided long before."""


class PoisonReview(page.Page):
    """Content: {"document", "url", "text", "findings": [{"rule", "start", "end", "score", "evidence"}], "cut": int?}.

    `start` and `end` are places in the text, `cut` how many characters of a long one were left out. Verdict:
    {"decision": "confirm" or "release"}.
    """

    name = "poison-review"
    title = "Is this document poisoned?"
    overlap = 1
    above = "\n".join(
        [
            page.header("Where it is from"),
            '<View className="box source"><Text name="url" value="$url"/></View>',
            page.header("What the filter found"),
            page.notes("findings"),
            page.text("text", "The document (⟦1: … :1⟧ is the first finding, ‹U+200B› an invisible character)"),
        ]
    )
    controls = page.choices(
        *("decision", "text"),
        [(value, words, str(key)) for key, (value, words) in enumerate(DECISIONS.items(), 1)],
        "Should a model learn from this document? (keys 1 and 2)",
    )

    def content(self, row: Json) -> Json:
        body, findings = row.get("text"), row.get("findings", [])
        if not isinstance(body, str):
            raise InvalidSampleError("text is missing; expected the document's")
        if not isinstance(findings, list):
            raise InvalidSampleError("findings are no list; expected what the filter found")
        content: Json = {
            "document": text(row, "document" if "document" in row else "id"),
            "url": text(row, "url", required=False),
            "text": storable(body[:LIMIT]),
            "findings": [_finding(each, f"finding {number}") for number, each in enumerate(findings[:FINDINGS], 1)],
        }
        if len(body) > LIMIT:
            content["cut"] = len(body) - LIMIT
        return content

    def shuffled(self, content: Json) -> int:
        return 0

    def task(self, content: Json, order: Order) -> Json:
        listed = [
            {"who": f"{number}. {visible(found['rule'])} ({found['score']:.2f})", "text": _told(found)}
            for number, found in enumerate(content["findings"], 1)
        ]
        cut = f"\n\n({content['cut']:,} more characters are not shown)" if "cut" in content else ""
        body = _marked(content["text"], content["findings"])
        return {
            "url": seen(content["url"]),
            "findings": listed or remarks([]),
            "text": (body if body.strip() else "(no text)") + cut,
        }

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return None

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        return {"decision": read(result, [DECISION])["decision"]}

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        return [DECISION.item([verdict["decision"]])]

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        return DECISIONS[verdict["decision"]]

    def same(self, first: Json, second: Json) -> bool:
        return bool(first["decision"] == second["decision"])


def _finding(found: object, name: str) -> Json:
    if not isinstance(found, dict):
        raise InvalidSampleError(f"{name} is no object; expected rule, start, end, score, evidence")
    start, end, score = (found.get(key) for key in ("start", "end", "score"))
    if type(start) is not int or type(end) is not int or not 0 <= start <= end:
        raise InvalidSampleError(f"{name}: start and end are no places in the text")
    if not isinstance(score, int | float) or isinstance(score, bool) or not -1e9 < score < 1e9:
        raise InvalidSampleError(f"{name}: score is no number")
    evidence = checked(found.get("evidence") or "", f"{name}: evidence", required=False)
    return {"rule": text(found, "rule"), "start": start, "end": end, "score": float(score), "evidence": evidence}


def _told(found: Json) -> str:
    place = f"characters {found['start']:,} to {found['end']:,}"
    return f"{place}: {visible(found['evidence'])}" if found["evidence"].strip() else place


def _marked(body: str, findings: Sequence[Json]) -> str:
    """The text with each finding between its marks and what is unseen named; findings may overlap."""
    marks: dict[int, str] = {}
    inside = [(n, each) for n, each in enumerate(findings, 1) if each["start"] < each["end"] <= len(body)]
    for number, found in inside:
        marks[found["end"]] = f" :{number}⟧" + marks.get(found["end"], "")
    for number, found in inside:
        marks[found["start"]] = marks.get(found["start"], "") + f"⟦{number}: "
    pieces, before = [], 0
    for place in sorted(marks):
        pieces += [visible(body[before:place]), marks[place]]
        before = place
    return "".join([*pieces, visible(body[before:])])
