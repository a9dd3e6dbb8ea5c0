"""Filtered parts -> parts that were looked through for poison, as a Beam transform.

    parts ─┬─▶ sample ─▶ text model ─┬─▶ inspect ─┬─▶ keys ─▶ meet across the corpus ─▶ shared ─┐
           └─────────────────────────┘            └────────────────────────────────────────────┴─▶ poison

No text crosses a shuffle: packed keys do (meet.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from pipeline.artifact import Part
from pipeline.poison.meet import FindShared
from pipeline.poison.steps import InspectStep, PoisonStep, train_text_model
from pipeline.sample import Sample
from pipeline.step import RunPart, run_part


@dataclass
class LookForPoison(beam.PTransform):
    """Filtered parts -> {text model, inspect, poison: parts}."""

    folder: str
    apply: PoisonStep
    sample_bytes: int

    def expand(self, parts: beam.PCollection[Part]) -> dict[str, beam.PCollection[Part]]:
        model = (
            parts
            | "Sample text model" >> Sample(self.folder, "textmodel", self.sample_bytes)
            | "Gather samples" >> beam.combiners.ToList()
            | "Train text model" >> beam.Map(train_text_model, self.folder)
        )
        trained = beam.pvalue.AsSingleton(model)
        pairs = parts | "Inspect" >> beam.ParDo(Inspect(InspectStep(), self.folder), trained)
        inspected = pairs | "Inspected" >> beam.Map(_second)
        shared = inspected | "Look across" >> FindShared()
        done = pairs | "Apply" >> beam.ParDo(RunPart(self.apply, self.folder), beam.pvalue.AsSingleton(shared), trained)
        return {"textmodel": model, "inspect": inspected, "poison": done}


class Inspect(beam.DoFn):
    """A part -> (the part, what was found in it)."""

    def __init__(self, step: InspectStep, folder: str) -> None:
        self.step, self.folder = step, folder

    def process(self, part: Part, model: Part) -> Iterator[tuple[Part, Part]]:
        yield part, run_part(self.step, self.folder, part, model)


def _second(pair: tuple[Part, Part]) -> Part:
    return pair[1]
