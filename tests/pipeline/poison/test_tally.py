"""What the ledger is counted and shown by, however long it is."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import artifact
from pipeline.artifact import PartWriter, write_json
from pipeline.document import LINEAGE
from pipeline.manifest import step_manifest
from pipeline.poison.explain import explain_rule
from pipeline.poison.finding import LEDGER
from pipeline.poison.held import export_held
from pipeline.poison.tally import Distinct, tally
from pipeline.report.poison import read_poison
from pipeline.report.tables import Corpus

DOCUMENTS = pa.schema([*LINEAGE, ("language", pa.string()), ("text", pa.string()), ("reason", pa.string())])
ROOT = Path(__file__).parents[3]


def finding(
    address: int, rule: str = "instructions", outcome: str = "hold", hosts: int | None = None
) -> dict[str, Any]:
    said = f"page {address}"
    place = {"address": address, "rule": rule, "start": 0, "end": len(said), "score": 1.0, "evidence": said}
    return place | {"hosts": hosts, "outcome": outcome}


def all_held(address: int) -> str:
    return "held"


def write(
    folder: Path,
    parts: Iterable[tuple[list[int], list[dict[str, Any]]]],
    owners: int,
    became: Callable[[int], str] = all_held,
) -> str:
    """A corpus of parts, each (addresses of its documents, rows of its ledger); `became` says which are held."""
    made: dict[str, list[artifact.Part]] = {"extract": [], "filter": [], "poison": []}
    for number, (addresses, findings) in enumerate(parts):
        hosts = [f"a{address % 7}.owner{address % owners}.com" for address in addresses]
        texts = [f"page {address} of a site" for address in addresses]
        columns = {
            **{name: pa.nulls(len(addresses), DOCUMENTS.field(name).type) for name in DOCUMENTS.names},
            "address": pa.array(addresses, pa.uint64()),
            "id": pa.array([address.to_bytes(16, "big") for address in addresses], pa.binary(16)),
            "host": pa.array(hosts, pa.string()),
            "url": pa.array([f"https://{host}/" for host in hosts], pa.string()),
            "text": pa.array(texts, pa.string()),
        }
        documents = pa.RecordBatch.from_arrays([columns[name] for name in DOCUMENTS.names], schema=DOCUMENTS)
        went = {
            kind: documents.filter(pa.array([became(address) == kind for address in addresses], pa.bool_()))
            for kind in ("held", "removed")
        }
        tables = {
            "filter": {"documents": documents},
            "poison": {**went, "findings": pa.RecordBatch.from_pylist(findings, LEDGER)},
        }
        for step, kinds in tables.items():
            writer = PartWriter(str(folder), step, f"part-{number:05}", "mark", number, (0, 1))
            for kind, rows in kinds.items():
                with writer.table(kind, rows.schema) as table:
                    table.write(rows)
            made[step].append(writer.commit({}))
    for step, done in made.items():
        write_json(f"{folder}/{step}/manifest.json", step_manifest(step, done, {}))
    write_json(f"{folder}/manifest.json", {"format": 1, "steps": {"poison": {}}})
    return str(folder)


def third(address: int) -> str:
    """Each document of three has another fate."""
    return ("held", "removed", "kept")[address % 3]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(
            st.lists(st.tuples(st.sampled_from(["noise", "flood"]), st.sampled_from(["tag", "hold"])), max_size=4),
            max_size=12,
        ),
        max_size=4,
    )
)
def test_counts_are_those_of_all_rows_in_memory(
    tmp_path_factory: pytest.TempPathFactory, plan: list[list[list[tuple[str, str]]]]
) -> None:
    """Parts, in each documents, in each rules; three rows in a group, so that documents lie across groups."""
    parts = [
        (
            [number << 32 | row for row in range(len(documents))],
            [finding(number << 32 | row, *one) for row, several in enumerate(documents) for one in several],
        )
        for number, documents in enumerate(plan)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "ROWS_A_GROUP", 3)
        folder = write(tmp_path_factory.mktemp("small"), parts, 5, third)
    rows = [row for _, findings in parts for row in findings]
    expected = {}
    for rule in {row["rule"] for row in rows}:
        mine = [row for row in rows if row["rule"] == rule]
        pages = sorted({row["address"] for row in mine})
        firsts = [next(row for row in mine if row["address"] == address) for address in pages[:2]]
        severe = "hold" if any(row["outcome"] == "hold" for row in mine) else "tag"
        done = Counter((row["outcome"], third(row["address"])) for row in mine)
        expected[rule] = (len(mine), len(pages), len({page % 5 for page in pages}), severe, done, firsts)
    found = {
        rule: (one.findings, one.documents, len(one.owners), one.outcome, one.done, [row for _, row in one.shown])
        for rule, one in tally(Corpus(folder), 2, lambda addresses: addresses).items()
    }
    assert found == expected
    export_held(folder, f"{folder}/held.jsonl")
    lines = [json.loads(line) for line in Path(folder, "held.jsonl").read_text().splitlines()]
    ledgers = {int(line["id"], 16): [one["outcome"] for one in line["findings"]] for line in lines}
    assert ledgers == {
        address: [row["outcome"] for row in rows if row["address"] == address]
        for part in parts
        for address in part[0]
        if third(address) == "held"
    }


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20)))
def test_different_hashes_are_counted_once(groups: list[list[int]]) -> None:
    distinct = Distinct()
    for group in groups:
        distinct.add(np.array(group, np.uint64))
    assert len(distinct) == len({one for group in groups for one in group})


def test_the_first_pages_of_a_rule_are_shown_with_how_many_owners_share_it(tmp_path: Path) -> None:
    rows = [finding(address, "trigger", hosts=7) for address in range(40)]
    found = explain_rule(write(tmp_path, [(list(range(40)), rows)], 3), "trigger")
    assert (found.documents, found.owners) == (40, 3)
    assert [id for id, _, _ in found.first] == [f"{n:032x}" for n in range(10)]
    assert [url for _, url, _ in found.first] == [f"https://a{n % 7}.owner{n % 3}.com/" for n in range(10)]
    assert {seen.hosts for _, _, seen in found.first} == {7}
    assert {seen.evidence for _, _, seen in found.first} == {"the passage begins with the phrase"}


def test_so_does_the_report(tmp_path: Path) -> None:
    found = read_poison(Corpus(write(tmp_path, [([1], [finding(1, "trigger", hosts=7)])], 1)))
    assert found is not None
    assert [(one.documents, one.examples[0].hosts) for one in found.found] == [(1, 7)]


PROGRAM = """
import resource, sys
from pipeline.poison.explain import explain_rule
from pipeline.poison.held import export_held
from pipeline.report.poison import read_poison
from pipeline.report.tables import Corpus
for folder in sys.argv[1:]:
    print(
        explain_rule(folder, "instructions").documents,
        read_poison(Corpus(folder)).found[0].documents,
        export_held(folder, f"{folder}/held.jsonl", 1000).written,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_ledger(tmp_path: Path) -> None:
    """300,000 documents that are pointed at take as much as 10,000; with an entry for each they took 160 MB more."""
    folders = []
    for documents in (10_000, 300_000):
        split = [range(start, start + documents // 5) for start in range(0, documents, documents // 5)]
        parts = ((list(part), [finding(address) for address in part]) for part in split)
        folders.append(write(tmp_path / str(documents), parts, 1_000))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *folders], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (*few, before), (*many, after) = ([int(word) for word in line.split()] for line in ran.stdout.splitlines())
    assert (few, many) == ([10_000] * 3, [300_000] * 3)
    assert after - before < 50
