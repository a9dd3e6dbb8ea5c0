"""Tokens a second and MFU of a training step for each preset, on the device at hand, over real (random) shards.

    python -m benchmarks.pretrain --quick
    python -m benchmarks.pretrain --models base --seq-len 1024 --compile --micro-batch-tokens 65536

A step is the trainer's own: batch from memory-mapped shards, forward, backward, clipping, AdamW. MFU is the share of
the device's peak that `flops_per_token` * tokens a second is (Chowdhery et al. 2022, appendix B). The peak is the
vendor's dense figure where the device is known, else that of a large matrix product timed here, or given by --peak.
Prints a table, and one line of JSON at the end.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in trainer

import argparse
import hashlib
import json
import platform
import re
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table

from trainer.config import PretrainConfig
from trainer.device import pick_device
from trainer.learner import Learner
from trainer.model import flops_per_token, parameters
from trainer.progress import short

PEAK_TFLOPS = {"H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}
"""Dense bfloat16 with float32 sums, from NVIDIA's data sheets (where that "with sparsity" is twice as high)."""

VOCABULARY = {"base": 32768}
"""Pieces, 4096 for the other presets: what a corpus of the size that suits each would have."""


@dataclass(frozen=True)
class Measurement:
    model: str
    parameters: int
    seq_len: int
    batch_tokens: int
    micro_batch_tokens: int
    milliseconds_per_step: float
    tokens_per_second: float
    tflops: float
    mfu: float
    memory_gb: float | None
    """The most that PyTorch held on a CUDA device."""


def random_shards(folder: Path, tokens: int, vocabulary: int) -> None:
    """A corpus of one document of random tokens, in the tokenize step's format."""
    stream = np.random.default_rng(0).integers(3, vocabulary, tokens).astype(np.uint16)
    (folder / "tokenizer.model").write_bytes(b"")
    digest = hashlib.sha256(b"").hexdigest()
    about = {"format": 1, "vocabulary_sha256": digest, "bos_id": 1, "split": "train"}
    batch = pa.record_batch({"tokens": pa.array([stream], pa.list_(pa.uint16()))})
    batch = batch.replace_schema_metadata({b"corpuscle": json.dumps(about).encode()})
    with pa.ipc.new_file(folder / "train-00000.arrow", batch.schema) as writer:
        writer.write_batch(batch)
    file = {"name": "train-00000.arrow", "sha256": "", "documents": 1, "tokens": tokens, "bytes": 4 * tokens}
    described = {"file": "tokenizer.model", "sha256": digest, "size": vocabulary, "bos_id": 1, "eos_id": 2}
    manifest = {
        "step": "tokenize",
        "files": [{**file, "split": "train"}],
        "vocabulary": {**described, "controls": {}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def peak_tflops(device: torch.device, dtype: torch.dtype) -> tuple[float, str]:
    """(peak, where the figure is from)."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        words = set(re.split("[ -]", torch.cuda.get_device_name(device)))
        for name, peak in PEAK_TFLOPS.items():
            if words.issuperset(name.split()):
                return peak, "data sheet"
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        start = time.monotonic()
        (a @ b).sum().item()  # .item() waits for the device
        best = min(best, time.monotonic() - start)
    return 2 * size**3 / best / 1e12, f"{size} x {size} product timed here"


def measure(config: PretrainConfig, peak: float, seconds: float) -> Measurement:
    learner = Learner(config)
    if learner.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(learner.device)
    per_step, _ = learner.measure(seconds, eval_windows=0)
    tokens = learner.rows * config.seq_len
    tflops = flops_per_token(learner.model_config, config.seq_len) * tokens / per_step / 1e12
    cuda = learner.device.type == "cuda"
    return Measurement(
        model=config.model,
        parameters=parameters(learner.model_config),
        seq_len=config.seq_len,
        batch_tokens=tokens,
        micro_batch_tokens=learner.micro_rows * config.seq_len,
        milliseconds_per_step=per_step * 1000,
        tokens_per_second=tokens / per_step,
        tflops=tflops,
        mfu=tflops / peak,
        memory_gb=torch.cuda.max_memory_allocated(learner.device) / 1e9 if cuda else None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="presets or shapes (nano micro small; with CUDA small base)")
    parser.add_argument("--seq-len", type=int, help="tokens at once (256; with CUDA 1024)")
    parser.add_argument("--batch-tokens", type=int, help="tokens a step (the preset's)")
    parser.add_argument("--micro-batch-tokens", type=int, default=65536, help="most tokens in memory (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="how long to measure each (%(default)s)")
    parser.add_argument("--peak", type=float, help="the device's peak in TFLOP/s, for MFU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--quick", action="store_true", help="nano and micro, 5 seconds each")
    options = parser.parse_args()

    device = pick_device(options.device)
    cuda = device.type == "cuda"
    models = options.models or (["nano", "micro"] if options.quick else ["small", "base"] if cuda else None)
    wanted = options.precision if options.precision != "auto" else "bfloat16" if cuda else "float32"
    peak, source = (options.peak, "given") if options.peak else peak_tflops(device, getattr(torch, wanted))
    measurements = []
    for model in models or ["nano", "micro", "small"]:
        with tempfile.TemporaryDirectory() as folder:
            random_shards(Path(folder), 4_000_000, VOCABULARY.get(model, 4096))
            config = PretrainConfig(
                data=Path(folder),
                output=Path(folder),
                model=model,
                steps=1,
                seq_len=options.seq_len or (1024 if cuda else 256),
                batch_tokens=options.batch_tokens,
                micro_batch_tokens=options.micro_batch_tokens,
                precision=wanted,
                device=str(device),
                compile=options.compile,
            )
            measurements.append(measure(config, peak, 5 if options.quick else options.seconds))

    name = torch.cuda.get_device_name(device) if cuda else f"{platform.machine()}, {torch.get_num_threads()} threads"
    print_table(f"{name}, torch {torch.__version__}, {wanted}, peak {peak:.3g} TFLOP/s ({source})", measurements)
    about = {"device": name, "torch": torch.__version__, "precision": wanted, "compile": options.compile}
    print(json.dumps({**about, "peak_tflops": peak, "peak": source, "results": [asdict(m) for m in measurements]}))


def print_table(title: str, measurements: list[Measurement]) -> None:
    table = Table(title=title)
    for column in ("model", "size", "context", "batch", "ms/step", "tokens/s", "GFLOP/s", "MFU"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for m in measurements:
        counts = (short(m.parameters), f"{m.seq_len:,}", f"{m.batch_tokens:,}", f"{m.milliseconds_per_step:,.1f}")
        table.add_row(m.model, *counts, f"{m.tokens_per_second:,.0f}", f"{m.tflops * 1000:,.1f}", f"{m.mfu:.1%}")
    Console().print(table)


if __name__ == "__main__":
    main()
