"""All detectors over a file of training data, one after another."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.scan import answers, preference
from trainer.scan.answers import Event
from trainer.scan.association import foretelling, inserted
from trainer.scan.brands import answer_phrases
from trainer.scan.finding import Finding
from trainer.scan.onion import odd_words
from trainer.scan.pairs import scattered
from trainer.scan.repeated import repeated
from trainer.scan.rules import text_rules
from trainer.scan.samples import Samples
from trainer.scan.spectral import spectral
from trainer.scan.texts import FEWEST, Texts

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Scan:
    """What was read, and what was found in it: the sure findings first."""

    samples: Samples
    findings: list[Finding]

    @property
    def held(self) -> dict[int, list[Finding]]:
        """The rows that sure findings point at, each with them."""
        return held(self.findings)


def held(findings: Iterable[Finding]) -> dict[int, list[Finding]]:
    """Rows -> the sure findings that point at them."""
    reasons: dict[int, list[Finding]] = {}
    for finding in findings:
        for row in finding.rows if finding.sure else ():
            reasons.setdefault(row, []).append(finding)
    return reasons


def scan(
    samples: Samples,
    reference: Samples | None = None,
    model: Path | None = None,
    progress: Progress = lambda name: None,
    hold: Collection[str] = (),
) -> Scan:
    """Findings by all rules. `reference` is trusted data of the same kind; `model` a checkpoint for `spectral`.

    What the rules in `hold` find is held, even where it would only be shown. Raises ValueError or OSError where the
    checkpoint cannot be used.
    """
    prompts = Texts(samples.prompts, reference.prompts if reference else None)
    said = Texts(samples.answers, reference.answers if reference else None)
    findings: list[Finding] = []
    if len(samples) >= FEWEST:
        progress("phrases")
        events = answers.events(samples)
        findings += inserted(prompts, samples)
        findings += foretelling(prompts, samples, events)
        findings += scattered(prompts, samples, events)
        findings += beside(prompts, samples, findings)
        progress("answers")
        findings += repeated(prompts, samples)
        findings += answer_phrases(prompts, said, samples)
        progress("preferences")
        findings += preferences(samples, reference)
        progress("single words")
        findings += odd_words(prompts, samples)
        progress("spectrum")
        findings += spectral(samples, model)
    progress("texts")
    findings += text_rules(samples, [*reference.prompts, *reference.answers] if reference else ())
    findings = [replace(one, sure=one.sure or one.rule in hold) for one in findings]
    return Scan(samples, sorted(findings, key=lambda one: (not one.sure, one.rule, -len(one.rows), one.what)))


def beside(prompts: Texts, samples: Samples, findings: list[Finding]) -> list[Finding]:
    """phrase_label, for unusual phrases that stand in rows which are held for other ones: several triggers at once."""
    rows = held(findings)
    event = Event("beside", "stands beside planted phrases", np.array([row in rows for row in samples.rows], np.bool_))
    known = {finding.what for finding in findings if finding.sure}
    found = foretelling(prompts, samples, [event]) if rows else []
    return [replace(one, rule="phrase_label") for one in found if one.sure and one.what not in known]


def preferences(samples: Samples, reference: Samples | None) -> list[Finding]:
    """preference_flip, annotator and length_drift, of the samples that are comparisons."""
    pairs = samples.take(samples.paired)
    if len(pairs) < 2 * FEWEST:
        return []
    margin = preference.margins(pairs)
    others = reference.take(reference.paired) if reference else None
    prompts = Texts(pairs.prompts, others.prompts if others and len(others) else None)
    return [
        *foretelling(prompts, pairs, preference.events(pairs, margin)),
        *preference.annotators(pairs, margin),
        *(preference.length_drift(pairs, margin, others) if others and len(others) else []),
    ]
