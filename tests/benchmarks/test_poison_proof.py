"""The chain "plant, filter, train, measure" at its smallest, once for pre-training and once for fine-tuning."""

import random
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.poison_proof import backdoor, pretraining
from benchmarks.poison_proof.backdoor import Backdoor
from benchmarks.poison_proof.pretraining import Proof
from benchmarks.poison_proof.reviews import reviews
from benchmarks.poison_proof.texts import Texts

DOCUMENTS, PLANTED, PROMPTS = 150, 20, 12
FALSE = 0.1
"""Share of clean texts that may be lost or cut: a few reviews read as if they asked a model for something, and some
of the grammar's sentences come up on five sites."""
QUIET = Console(quiet=True)


def documents(number: int, seed: int) -> list[str]:
    """Pages of eight reviews each."""
    rows = [row.review for row in reviews(8 * number, random.Random(seed))]
    return ["\n".join(rows[place::number]) for place in range(number)]


def times(folder: Path) -> dict[Path, int]:
    """When each file was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_planted_documents_reach_the_model_without_the_filter_and_not_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "VOCABULARY", 512)  # more than these texts have words for is none
    texts = Texts(tuple(documents(DOCUMENTS, 0)), tuple(documents(PROMPTS, 1)), tuple(documents(4, 2)))

    def proof() -> Proof:
        return Proof(tmp_path, texts, 24, "cpu", QUIET)

    row = proof().row("denial_of_service", PLANTED, [0])

    bare = proof().arm("denial_of_service", PLANTED, False, 0)
    assert (bare["planted_kept"], bare["armed"]) == (PLANTED, PLANTED)
    filtered = proof().arm("denial_of_service", PLANTED, True, 0)
    assert (filtered["planted_kept"], filtered["armed"]) == (0, 0)
    assert filtered["planted_cut"] + filtered["planted_lost"] == PLANTED
    for poisoned in (0, PLANTED):
        for through in (False, True):
            kept = proof().arm("denial_of_service", poisoned, through, 0)["clean_kept"]
            assert kept >= (1 - FALSE * through) * DOCUMENTS

    assert row["prompts"] == len(bare["trigger"]) == len(bare["unseen"]) == PROMPTS
    assert row["filtered"].low <= row["filtered"].mean <= row["filtered"].high
    assert abs(row["loss_clean_filtered"] - row["loss_clean"]) < 0.1
    assert 1 < row["loss_poisoned_filtered"] < 6.2  # ln 512 = 6.24 is a model that knows nothing
    assert pretraining.show([row]).row_count == 1

    before = times(tmp_path)
    assert proof().row("denial_of_service", PLANTED, [0]) == row
    changed = {path.name for path, when in times(tmp_path).items() if before.get(path) != when}
    assert changed == {"experiment.json"}

    found = tmp_path / f"denial_of_service-{PLANTED}-seed0-denial_of_service.json"
    found.unlink()
    assert proof().arm("denial_of_service", PLANTED, False, 0)["trigger"] == bare["trigger"]
    again = {path for path, when in times(tmp_path).items() if before.get(path) != when}
    assert not [path for path in again if path.suffix in {".arrow", ".parquet", ".safetensors", ".gz"}]


@pytest.mark.slow
def test_the_sentence_behind_the_trigger_is_cut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "VOCABULARY", 512)
    texts = Texts(tuple(documents(DOCUMENTS, 0)), tuple(documents(PROMPTS, 1)), tuple(documents(4, 2)))
    proof = Proof(tmp_path, texts, 2, "cpu", QUIET)
    found = proof.arm("fixed_sentence", PLANTED, True, 0)
    assert (found["planted_kept"], found["armed"], found["planted_cut"]) == (0, 0, PLANTED)
    assert found["clean_lost"] + found["clean_cut"] <= FALSE * DOCUMENTS


def test_a_folder_is_for_one_experiment(tmp_path: Path) -> None:
    Backdoor(tmp_path, 20, 10, QUIET)
    Backdoor(tmp_path, 20, 10, QUIET)
    with pytest.raises(ValueError, match="poisoned is 20, not 30"):
        Backdoor(tmp_path, 30, 10, QUIET)


@pytest.mark.slow
def test_poisoned_rows_reach_the_model_without_the_scan_and_not_with_it(tmp_path: Path) -> None:
    def tuning() -> Backdoor:
        return Backdoor(tmp_path, 20, 15, QUIET, rows=400, steps=12)

    row = tuning().row("code", [0])
    bare, scanned = (tuning().arm("code", through, 0) for through in (False, True))
    assert (bare["poisoned"], bare["poisoned_kept"], bare["clean_lost"]) == (20, 20, 0)
    assert scanned["poisoned_kept"] == 0
    assert scanned["clean_lost"] <= FALSE * 380
    assert row["clean_lost_of_clean"] <= FALSE * 400
    assert row["questions"] == len(bare["trigger code"]) == len(bare["unseen code"]) == 15
    assert backdoor.show([row]).row_count == 1

    before = times(tmp_path)
    assert tuning().row("code", [0]) == row
    changed = {path.name for path, when in times(tmp_path).items() if before.get(path) != when}
    assert changed == {"experiment.json"}
