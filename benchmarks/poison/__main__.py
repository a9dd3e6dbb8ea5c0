"""How much poison the pipeline finds, and how many clean documents that costs, on real pages.

    python -m benchmarks.poison --crawl 'crawl/*.warc.gz' --data data --attacks data/attacks --docs docs --work out

Clean sets are run through a recipe with the poison step; then attacks are planted into pages that came through, arm by
arm, and it is seen what becomes of each. `--work` keeps every run: a stopped benchmark goes on where it was.
"""

import argparse
import json
from pathlib import Path

from rich.console import Console

from benchmarks.poison.arms import HERE, Settings, clean_runs, planted_arms
from benchmarks.poison.figures import costs, judge_arm, losses
from benchmarks.poison.prompts import measure_prompts
from benchmarks.poison.sources import read_benign
from benchmarks.poison.tables import as_json, cost_table, loss_tables, prompt_table, recall_tables
from corpuscle.main import quiet
from pipeline.recipe import RecipeError
from pipeline.run import InputError
from pipeline.step import StepError

QUICK = {"sizes": (10,), "each": 6, "hosts": 400}
FULL = {"sizes": (10, 25, 50, 100, 250), "each": 50, "hosts": 500}


def parse(arguments: list[str] | None = None) -> tuple[Settings, Path | None]:
    """The settings, and the file for the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.poison", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--crawl", action="append", required=True, metavar="GLOB", help="archives of real pages; repeatable"
    )
    parser.add_argument("--work", type=Path, required=True, help="a folder for all runs; kept")
    parser.add_argument("--data", type=Path, help="a folder with books/classic_books.jsonl.gz and text/udhr.tar.gz")
    parser.add_argument("--attacks", type=Path, help="a folder with collections of attacks and of hard benign texts")
    parser.add_argument("--docs", type=Path, help="a folder of unpacked HTML documentation, a package a folder")
    parser.add_argument("--recipe", type=Path, default=HERE / "recipe.yaml", help="with the poison step")
    parser.add_argument("--quality", type=Path, default=HERE / "quality.yaml", help="the filters that are there anyway")
    parser.add_argument("--seed", type=int, default=1, help="of hosts, triggers and texts")
    parser.add_argument("--families", nargs="*", default=(), help="only these families of attacks")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a JSON file for all figures")
    parser.add_argument("--quick", action="store_true", help="small sizes, and of the clean sets the crawl alone")
    given = vars(parser.parse_args(arguments))
    output = given.pop("output")
    given |= QUICK if given["quick"] else FULL
    return Settings(**given | {"crawl": tuple(given["crawl"]), "families": tuple(given["families"])}), output


def main() -> None:
    """Run what is not there yet, and print the tables."""
    settings, output = parse()
    quiet()
    console, progress = Console(width=200), Console(stderr=True)
    try:
        clean = clean_runs(settings, progress.log)
        planting = planted_arms(settings, clean.corpora["web"], progress.log)
    except (InputError, RecipeError, StepError) as error:
        raise SystemExit(f"error: {error}") from None
    judged = [one for arm in planting.arms for one in judge_arm(arm)]
    benign = read_benign(settings.attacks) if settings.attacks else {}
    prompts = measure_prompts(planting.texts, benign, planting.materials, settings.seed)
    lost, cost = losses(clean), costs(clean.corpora["web"])
    console.print(f"seed {settings.seed}; work {settings.work}; recipe {settings.recipe}")
    for missing in clean.missing:
        console.print(f"missing: {missing}")
    for made in (
        *recall_tables(judged),
        prompt_table(prompts),
        *loss_tables(lost),
        cost_table(cost, "cost, clean web run"),
    ):
        console.print(made)
    if output:
        output.write_text(
            json.dumps(as_json(settings, clean, lost, judged, prompts, cost), indent=1, ensure_ascii=False), "utf-8"
        )


if __name__ == "__main__":
    main()
