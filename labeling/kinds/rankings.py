"""Rankings: two to nine answers to one prompt, best first (Ouyang et al. 2022, 3.4, with K from 4 to 9).

Label Studio can submit a ranking that nobody touched, in the order of the import. So the page is told not to, the order
is shuffled for each task, and a verdict in just that order may be no judgement all the same: `unchanged`.
"""

from collections.abc import Sequence
from itertools import combinations

from labeling.kinds import page
from labeling.kinds.kind import Draft, InvalidSampleError, Json, Order
from labeling.kinds.results import Control, read
from labeling.kinds.texts import answer, prompt, seen, shown

MOST = 9
LETTERS = "ABCDEFGHI"
"""Names of the places on the page, from the top: opaque ids, since the page shows them."""

AGREE = 3 / 4
"""The least share of pairs in the same order for two rankings to agree; people reach 72.6% (InstructGPT)."""


class Rankings(page.Page):
    """Content: {"prompt": [...], "answers": [...]}; verdict: {"ranks": [...]}, 1 is the best, one rank an answer."""

    name = "rankings"
    title = "Rank the answers"
    overlap = 2
    untouched = False
    above = page.talk("prompt", "The conversation")
    controls = "\n".join(
        [
            page.header("Drag the answers into order, the best to the top"),
            '<List name="answers" value="$answers" title="Best"/>',
            '<Ranker name="ranks" toName="answers" collapsible="false"/>',
        ]
    )
    style = """
.talk { max-height: 26vh; }
.htx-ranker-column { counter-reset: place; padding: 4px 10px 10px; border-radius: 8px; }
.htx-ranker-item { counter-increment: place; border-radius: 8px; padding: 8px 14px; margin: 8px 0; cursor: grab;
  background: var(--color-neutral-background, #ffffff); }
.htx-ranker-item h5::before { content: counter(place) ".  "; }
.htx-ranker-item p { white-space: pre-wrap; overflow-wrap: anywhere; overflow: auto; max-height: 26vh;
  margin: 4px 0 0; }
.htx-ranker-item p:last-child { display: none; }
"""

    def content(self, row: Json) -> Json:
        answers = row.get("answers")
        if not isinstance(answers, list) or not 2 <= len(answers) <= MOST:
            raise InvalidSampleError(f"answers are no list of 2 to {MOST}; no labeller can rank that")
        read = [answer(one, f"answer {place}") for place, one in enumerate(answers, 1)]
        if any(first["text"].split() == second["text"].split() for first, second in combinations(read, 2)):
            raise InvalidSampleError("two of the answers are the same; leave one of them out")
        return {"prompt": prompt(row.get("prompt", row.get("messages")), "prompt"), "answers": read}

    def shuffled(self, content: Json) -> int:
        return len(content["answers"])

    def task(self, content: Json, order: Order) -> Json:
        cards = [
            {"id": letter, "title": f"Answer {letter}", "body": seen(content["answers"][place]["text"])}
            for letter, place in zip(LETTERS, order, strict=False)
        ]
        return {"prompt": shown(content["prompt"]), "answers": cards}

    def prediction(self, content: Json, draft: Draft) -> list[Json] | None:
        return None

    def verdict(self, result: Sequence[Json], content: Json, order: Order) -> Json:
        ranks = [0] * len(order)
        for rank, letter in enumerate(read(result, [_ranks(order)])["ranks"], 1):
            ranks[order[LETTERS.index(letter)]] = rank
        return {"ranks": ranks}

    def result(self, verdict: Json, content: Json, order: Order) -> list[Json]:
        return [_ranks(order).item({"ranks": _best_first(verdict, order)})]

    def words(self, verdict: Json, content: Json, order: Order) -> str:
        return "best first: " + ", ".join(_best_first(verdict, order))

    def same(self, first: Json, second: Json) -> bool:
        """Three quarters of the pairs at least in the same order; of three answers, all of them."""
        pairs = list(combinations(range(len(first["ranks"])), 2))
        agree = sum(_before(first, *pair) == _before(second, *pair) for pair in pairs)
        return agree >= AGREE * len(pairs)


def unchanged(verdict: Json, order: Order) -> bool:
    """Whether the answers were left as the page showed them, by choice or untouched."""
    return all(verdict["ranks"][place] == shown_at for shown_at, place in enumerate(order, 1))


def _ranks(order: Order) -> Control:
    return Control("ranks", "answers", "ranker", tuple(LETTERS[: len(order)]))


def _best_first(verdict: Json, order: Order) -> list[str]:
    return sorted(LETTERS[: len(order)], key=lambda letter: verdict["ranks"][order[LETTERS.index(letter)]])


def _before(verdict: Json, first: int, second: int) -> bool:
    return bool(verdict["ranks"][first] < verdict["ranks"][second])
