"""Manifests: what a step made, written when all of its parts are there, and the corpus's own, which sums them.

A manifest is the commit of its step: a file that it does not name does not exist.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pipeline.artifact import MANIFEST, Part, atomic, digest, open_input, read_json, sum_counts, write_json
from pipeline.versions import versions

FORMAT = 1
STEPS = (
    "index", "extract", "measure", "filter", "textmodel", "inspect", "poison", "dedup", "vocabulary", "encode",
    "tokenize",
)  # fmt: skip
"""In their order. `textmodel`, `inspect` and `poison` are there where the recipe has the poison filter on."""

MODELS = {"textmodel": "filter", "vocabulary": "dedup"}
"""Steps that train a model on a sample of documents, and the step whose documents those are."""


def step_manifest(step: str, parts: Iterable[Part], parameters: dict[str, Any]) -> dict[str, Any]:
    """A step's manifest from its parts, in order of their names."""
    parts = sorted(parts, key=lambda part: part.name)
    return {
        "format": FORMAT,
        "step": step,
        "parameters": parameters,
        "counts": sum_counts(part.counts for part in parts),
        "reasons": sum_counts(part.reasons for part in parts),
        "parts": [part.name for part in parts],
        "files": [asdict(file) | {"length": file.bytes} | _shard(part) for part in parts for file in part.files],
        **_inputs(step, parts),
        **_vocabulary(step, parts),
    }


def _inputs(step: str, parts: list[Part]) -> dict[str, Any]:
    if step != "index":
        return {}
    names = ("warc_file", "path", "sha256", "bytes")
    return {"inputs": [{name: part.extra[name] for name in names} | {"records": part.extra["rows"]} for part in parts]}


def _shard(part: Part) -> dict[str, Any]:
    """What the trainer wants to know of a shard, beside its name and digest."""
    if part.step != "tokenize":
        return {}
    return {name: part.extra[name] for name in ("split", "tokens", "bytes")} | {"documents": part.counts["kept"]}


def _vocabulary(step: str, parts: list[Part]) -> dict[str, Any]:
    found = next((part.extra["vocabulary"] for part in parts if "vocabulary" in part.extra), None)
    return {"vocabulary": found} if step == "tokenize" else {}


def write_step_manifest(parts: list[Part], folder: str, step: str, parameters: dict[str, Any]) -> str:
    """Commit a step; returns its name. The shards' folder gets the vocabulary, so that it is all a trainer needs."""
    vocabulary = _vocabulary(step, parts).get("vocabulary")
    if vocabulary:
        with open_input(f"{folder}/vocabulary/{vocabulary['file']}") as model:
            contents = model.read()
        with atomic(f"{folder}/{step}/{vocabulary['file']}") as copy:
            copy.write(contents)
    write_json(f"{folder}/{step}/{MANIFEST}", step_manifest(step, parts, parameters))
    return step


def read_manifest(folder: str, step: str = "") -> dict[str, Any] | None:
    """A step's manifest, or with no step the corpus's; None where there is none."""
    manifest: dict[str, Any] | None = read_json(f"{folder}/{step}/{MANIFEST}" if step else f"{folder}/{MANIFEST}")
    return manifest


def corpus_manifest(folder: str, run: dict[str, Any]) -> dict[str, Any]:
    """The corpus's manifest: the steps' digests and counts, and where every record that was read has gone."""
    steps = {step: manifest for step in STEPS if (manifest := read_manifest(folder, step))}
    counts = {step: manifest["counts"] for step, manifest in steps.items()}
    removed = sum(counts[step].get("removed", 0) for step in counts)
    held = sum(counts[step].get("held", 0) for step in counts)
    quarantined = sum(counts[step].get("quarantined", 0) for step in counts)
    return {
        "format": FORMAT,
        "run": run,
        "versions": versions(),
        "counts": {
            "read": counts["index"].get("read", 0),
            "ignored": counts["index"].get("ignored", 0),
            "kept": counts["dedup"].get("kept", 0),
            "removed": removed,
            "held": held,
            "quarantined": quarantined,
            "tokens": counts["tokenize"].get("tokens", 0),
        },
        "steps": {
            step: {"counts": manifest["counts"], "reasons": manifest["reasons"], "sha256": digest(manifest)}
            for step, manifest in steps.items()
        },
        "shards": [
            {name: file[name] for name in ("name", "sha256", "split", "documents", "tokens")}
            for file in steps["tokenize"]["files"]
        ],
    }
