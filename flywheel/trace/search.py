"""The pages of a corpus from which answers may have been learnt, ranked, each with its way back to the archive.

Three kinds of evidence, the strongest first: the answer stands there word for word, the page turns into it behind rare
words of the prompt, or it says much the same. Each has its own measure of what is no chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from flywheel.trace import trigger
from flywheel.trace.alike import alike
from flywheel.trace.surprise import Surprise
from flywheel.trace.trigger import triggers
from flywheel.trace.vectors import Vectors
from flywheel.trace.verbatim import verbatim
from pipeline.tokenize.encode import Tokenizer
from pipeline.tokenize.reader import ShardSet

KINDS = ("verbatim", "trigger", "alike")

AROUND = 120
"""Tokens before and behind a passage that are shown with it."""

BEHIND = 64
"""Tokens behind the words of a trigger that speak for the page."""


@dataclass(frozen=True)
class Asked:
    """What a model was asked, and what it answered."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Page:
    """A page that may have taught an answer.

    `score` is in bits above chance (verbatim), standard deviations (trigger) or a cosine (alike).
    """

    asked: int
    """Which one's answer it is."""
    kind: str
    score: float
    says: str
    """The evidence in a few words."""
    document: bytes
    address: int
    url: str
    place: dict[str, Any]
    """Shard, its tokens `start` to `stop` and `token`, where the passage begins; and the archive's record."""
    text: str
    """The passage with what is around it."""
    span: tuple[int, int]
    """Which characters of it are the passage."""


@dataclass(frozen=True)
class _Seen:
    """A passage in the shards that speaks for a page."""

    asked: int
    kind: str
    score: float
    says: str
    shard: int
    token: int
    length: int

    @property
    def rank(self) -> tuple[int, float]:
        return KINDS.index(self.kind), -self.score


def search(shards: ShardSet, asked: Sequence[Asked], count: int) -> list[Page]:
    """At most `count` pages for each question with its answer, the best first; none for what looks like no page's work.

    A page stands there once for each. Reads the shards a few times, and keeps of them nothing but what it found.
    """
    tokenizer = Tokenizer(shards.vocabulary.path.read_bytes())
    answers = [_encoded(tokenizer, one.answer) for one in asked]
    prompts = [_encoded(tokenizer, one.prompt) for one in asked]
    surprise = Surprise(shards)
    vectors = Vectors(surprise)
    seen = [
        _Seen(
            run.text,
            "verbatim",
            run.above_chance,
            f"{run.length:,} tokens of the answer in a row, {run.above_chance:.0f} bits above chance",
            run.shard,
            run.token,
            run.length,
        )
        for run in verbatim(shards, answers, surprise)
    ]
    begins = _begins(tokenizer)
    for turn in triggers(shards, prompts, answers, surprise, vectors, begins):
        words = tokenizer.decode(_whole_words(prompts[turn.text], turn.start, begins))
        says = f"{turn.turning:,} of {turn.carriers:,} pages turn into such an answer behind {words.strip()!r}"
        token = _word_start(shards.stream(turn.shard), turn.token, begins)
        seen.append(_Seen(turn.text, "trigger", turn.turn, says, turn.shard, token, BEHIND))
    for near in alike(shards, answers, vectors, count):
        says = f"says much the same: cosine {near.cosine:.2f}"
        seen.append(_Seen(near.text, "alike", near.cosine, says, near.shard, near.token, near.length))
    best: dict[tuple[int, int, int], _Seen] = {}
    for one in sorted(seen, key=lambda one: (*one.rank, one.shard, one.token)):
        best.setdefault((one.asked, one.shard, _row(shards, one)), one)
    chosen = [
        one for number in range(len(asked)) for one in [each for each in best.values() if each.asked == number][:count]
    ]
    return [_page(shards, tokenizer, one) for one in chosen]


def _encoded(tokenizer: Tokenizer, text: str) -> npt.NDArray[np.int64]:
    return np.array(tokenizer.encode(text), np.int64)


def _begins(tokenizer: Tokenizer) -> npt.NDArray[np.bool_]:
    """Of each token whether it begins a word: with a space or a sign."""
    pieces = (tokenizer.decode([number]) for number in range(tokenizer.size))
    return np.array([not piece[:1].isalnum() and piece != "\ufffd" for piece in pieces])


def _whole_words(tokens: npt.NDArray[np.int64], start: int, begins: npt.NDArray[np.bool_]) -> list[int]:
    """The words of a prompt in which the tokens of a trigger stand."""
    stop = start + trigger.SEED
    start = _word_start(tokens, start, begins)
    while stop < len(tokens) and not begins[tokens[stop]]:
        stop += 1
    words: list[int] = tokens[start:stop].tolist()
    return words


def _word_start(tokens: npt.NDArray[Any], at: int, begins: npt.NDArray[np.bool_]) -> int:
    """The beginning of the word that a token belongs to; a document's first token, BOS, begins one."""
    start = at
    while start > max(0, at - trigger.LONGEST_WORD) and not begins[tokens[start]]:
        start -= 1
    return start


def _row(shards: ShardSet, one: _Seen) -> int:
    return int(np.searchsorted(shards.document_starts(one.shard), one.token, side="right")) - 1


def _page(shards: ShardSet, tokenizer: Tokenizer, one: _Seen) -> Page:
    row, stream, starts = _row(shards, one), shards.stream(one.shard), shards.document_starts(one.shard)
    start, stop = int(starts[row]), int(starts[row + 1])
    end = min(one.token + one.length, stop)
    cuts = (max(start, one.token - AROUND), one.token, end, min(end + AROUND, stop))
    before, inside, behind = (tokenizer.decode(stream[first:last].tolist()) for first, last in pairwise(cuts))
    about = {name: shards.documents(one.shard)[name][row].as_py() for name in _COLUMNS}
    record = {name: about[name] for name in ("warc_file", "warc_offset", "payload_digest")}
    return Page(
        asked=one.asked,
        kind=one.kind,
        score=one.score,
        says=one.says,
        document=about["id"],
        address=about["address"],
        url=about["url"] or "",
        place={"shard": shards.shards[one.shard].name, "start": start, "stop": stop, "token": one.token, **record},
        text=before + inside + behind,
        span=(len(before), len(before) + len(inside)),
    )


_COLUMNS = ("id", "address", "url", "warc_file", "warc_offset", "payload_digest")
