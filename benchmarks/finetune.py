"""What fine-tuning teaches a small model: exact match on held-out questions before and after, with and without tools.

    python -m benchmarks.finetune MODEL --output OUT [--steps 2500]

Prints a table and JSON. A run that was stopped goes on.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trainer.align.evaluate import EvaluateConfig, evaluate
from trainer.align.sft import SftConfig, sft
from trainer.measure import tasks

CASES = (
    ("templated", "exact", (), ()),
    ("arithmetic", "number", ("--tools",), ("calculator",)),
    ("arithmetic", "number", (), ()),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finetune", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--rows", type=int, default=20000)
    options = parser.parse_args()
    table, rows = Table("task", "tools", "before", "after", "after, tools off", "seconds"), []
    for name, verifier, form, tools in CASES:
        folder = options.output / f"{name}{''.join(form)}"
        tasks.main([name, str(folder / "data"), "--rows", str(options.rows), *form])
        data, asked = (folder / "data" / "train.jsonl",), (folder / "data" / "held-out.jsonl",)
        tuned = sft(
            SftConfig(
                model=options.model,
                data=data,
                output=folder / "sft",
                steps=options.steps,
                lr=3e-3,
                batch_tokens=1024,
                held_out=0.01,
            )
        )
        asking = {"data": asked, "verifier": verifier, "temperature": 0.0, "max_tokens": 64}
        before, after, off = (
            evaluate(EvaluateConfig(model=model, tools=given, **asking)).points[0]  # type: ignore[arg-type]
            for model, given in ((options.model, tools), (tuned.checkpoint, tools), (tuned.checkpoint, ()))
        )
        shown = [f"{one.accuracy:.1%} [{one.low:.1%}, {one.high:.1%}]" for one in (before, after, off)]
        table.add_row(name, ", ".join(tools) or "–", *shown, f"{tuned.seconds:,.0f}")
        points = {"before": asdict(before), "after": asdict(after), "after_tools_off": asdict(off)}
        rows.append({"task": name, "tools": tools, **points, "seconds": tuned.seconds})
    Console().print(table)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
