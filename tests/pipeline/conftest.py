"""Small corpora that several tests look at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.artifact import read_batches
from pipeline.manifest import read_manifest
from pipeline.recipe import parse_recipe
from pipeline.run import run

RECIPE = """
name: small
crawl: {extractor: resiliparse, languages: [en], min_language_score: 0.5}
filter:
  gopher_quality:
dedup:
  minhash: {similarity: 0.6}
tokenize: {vocabulary_size: 600, shard_tokens: 8000, validation_fraction: 0.1}
"""


def corpuscle(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [sys.executable, "-m", "corpuscle.main", *arguments],
        check=False, capture_output=True, text=True, env={**os.environ, "PATH": path, "COLUMNS": "200", **environment},
    )  # fmt: skip
    assert not check or ran.returncode == 0, ran.stderr[-3000:]
    return ran


def make(recipe: Path, crawl: Path, folder: Path, replace: bool = False, **changes: str) -> dict:
    """Run a recipe with some of its text changed, in this process; gives the manifest."""
    text = recipe.read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    parsed = parse_recipe(text, "test.yaml")
    return run(parsed, [f"{crawl}/*"], str(folder), ["--runner=FnApiRunner"], replace=replace).manifest


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every shard."""
    manifest = read_manifest(str(folder))
    assert manifest is not None, f"{folder}: the run left no manifest"
    return {shard["name"]: shard["sha256"] for shard in manifest["shards"]}


def rows(folder: Path, step: str, kind: str) -> list[dict]:
    """All rows of one kind that a step left."""
    manifest = read_manifest(str(folder), step)
    assert manifest is not None
    names = [file["name"] for file in manifest["files"] if file["name"].startswith(kind + "/")]
    return [row for name in names for batch in read_batches(f"{folder}/{step}/{name}") for row in batch.to_pylist()]


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick recipe for the sample crawl."""
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, sample_crawl: Path, recipe: Path) -> Path:
    """The corpus of the sample crawl, made in one process: what every other way of running must give again."""
    folder = tmp_path_factory.mktemp("corpus") / "out"
    corpuscle(
        "run", str(recipe), "--input", f"{sample_crawl}/*.warc.gz", "--output", str(folder), "--no-report",
        "--", "--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1",
    )  # fmt: skip
    return folder
