"""The rules of `pipeline.poison` that judge one text, on every field of every row.

They are made for pages; here a text may well speak to a model: that is what prompts do.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec

import pyarrow as pa

from pipeline.filter.text import TextBatch
from pipeline.poison.noise_prompts import PromptScale, prompt_noise
from pipeline.poison.rules import RULES
from pipeline.poison.text_model import TextModel
from pipeline.poison.visible import around
from trainer.scan.finding import Finding
from trainer.scan.samples import Samples

Hits = dict[tuple[str, str], dict[int, tuple[float, str]]]
Found = tuple[int, str, int, int, float, str]

MODULES = ("characters", "control", "encoded", "instructions", "signatures")
"""Modules of `pipeline.poison` with a `find` that needs a text alone."""
SHOWN = frozenset("instructions instructions_weak jailbreak_template noise encoded_text mixed_script".split())
"""Rules whose findings are shown, never held: prompts speak to a model, and answers about programs read as if they did
(0.2 to 1.0% of the answers in five clean files); an odd word is noise in a short text; code and mathematics are encoded
and mix scripts."""
BATCH = 1000
"""Texts that are judged at a time."""


def text_rules(samples: Samples, reference: Sequence[str] = ()) -> list[Finding]:
    """A finding for each rule and field, with all rows that have it.

    What is noise in a prompt is judged by a model of all the file's texts, and of the reference.
    """
    rows: Hits = defaultdict(dict)
    for field, texts in _fields(samples):
        for begin, batch in _batches(texts):
            found = [one for name in _there() for one in import_module(f"pipeline.poison.{name}").find(batch).rows]
            _note(rows, samples, field, begin, batch, found)
    known = [text for _, texts in _fields(samples) for text in texts]
    model = TextModel.train([*known, *reference])
    scale = PromptScale.measure(TextBatch(pa.array(samples.prompts, pa.string())), model)
    for begin, batch in _batches(samples.prompts):
        _note(rows, samples, "prompt", begin, batch, prompt_noise(batch, model, scale).rows)
    return [
        Finding(
            rule,
            "",
            tuple(sorted(hit)),
            field,
            max(score for score, _ in hit.values()),
            None,
            RULES[rule].outcome != "tag" and rule not in SHOWN,
            next(iter(hit.values()))[1],
        )
        for (rule, field), hit in sorted(rows.items())
    ]


def _note(rows: Hits, samples: Samples, field: str, begin: int, batch: TextBatch, found: Iterable[Found]) -> None:
    """Takes down what was found in a batch that begins with the sample `begin`."""
    for document, rule, start, end, score, _ in found:
        shown = "".join(around(batch.strings[document], start, end, 30))
        rows[rule, field].setdefault(samples.rows[begin + document], (score, shown))


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, TextBatch]]:
    for begin in range(0, len(texts), BATCH):
        yield begin, TextBatch(pa.array(texts[begin : begin + BATCH], pa.string()))


def _fields(samples: Samples) -> Iterator[tuple[str, Sequence[str]]]:
    yield "prompt", samples.prompts
    yield "answer", samples.answers
    if len(samples.paired):
        yield "worse answer", [other or "" for other in samples.others]


def _there() -> list[str]:
    return [name for name in MODULES if find_spec(f"pipeline.poison.{name}")]
