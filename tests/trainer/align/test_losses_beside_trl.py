"""Our losses and TRL's own code on the same random tensors, in double precision: values, gradients and metrics."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.align.losses import (
    bradley_terry,
    center,
    dpo,
    entropy,
    kto,
    policy_loss,
    sequence_logprobs,
    sft_loss,
    token_logprobs,
    value_loss,
)
from trainer.align.rl.advantage import gae, group_advantages, per_token_rewards, whiten

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "trl_losses.py"
INSTALL = (
    "in an environment of its own: pip install trl==1.16.0, and in another one, for PPO, trl==0.11.4 "
    f"transformers==4.46.3; then set CORPUSCLE_TRL_PYTHON to its interpreter, or to both: PYTHON{os.pathsep}PYTHON"
)
PYTHONS = [name for name in os.environ.get("CORPUSCLE_TRL_PYTHON", "").split(os.pathsep) if name]
if not PYTHONS and importlib.util.find_spec("trl"):
    PYTHONS = [sys.executable]
if not PYTHONS:
    pytest.skip(f"TRL is not installed; {INSTALL}", allow_module_level=True)

pytestmark = pytest.mark.slow  # importing TRL takes five seconds
PAIRS, TIME, VOCABULARY = 6, 9, 23
BETA, SMOOTHING, CLIP, KL, GAMMA, LAM = 0.3, 0.1, 0.2, 0.05, 0.99, 0.95
FLOAT32 = 1e-6
"""How far TRL may be off where it leaves double precision: its logs, and n / (n - 1) in its variances."""


def answers(draw: np.random.Generator, rows: int) -> np.ndarray:
    """A mask of answers of 1 to TIME tokens, one of them the longest there may be."""
    lengths = draw.integers(1, TIME + 1, rows)
    lengths[0] = TIME
    return np.arange(TIME) < lengths[:, None]


@pytest.fixture(scope="module")
def inputs() -> dict[str, Any]:
    draw = np.random.default_rng(11)
    rows = 2 * PAIRS
    near = draw.normal(-2, 1, (rows, TIME))

    def around(width: float) -> np.ndarray:
        return near + draw.normal(0, width, near.shape)

    return {
        "logprobs.logits": draw.normal(0, 3, (rows, TIME, VOCABULARY)),
        "logprobs.tokens": draw.integers(0, VOCABULARY, (rows, TIME)),
        "sft.logits": draw.normal(0, 3, (rows, TIME, VOCABULARY)),
        "sft.targets": draw.integers(0, VOCABULARY, (rows, TIME)),
        "sft.mask": answers(draw, rows),
        "reward.chosen": draw.normal(0, 2, PAIRS),
        "reward.rejected": draw.normal(0, 2, PAIRS),
        "reward.margin": draw.integers(0, 4, PAIRS) / 3,
        "dpo.policy": around(0.5),
        "dpo.reference": around(0.5),
        "dpo.mask": answers(draw, rows),
        "dpo.beta": BETA,
        "dpo.label_smoothing": SMOOTHING,
        "kto.policy": around(0.5),
        "kto.reference": around(0.5),
        "kto.mask": answers(draw, rows),
        "kto.desirable": np.arange(rows) % 3 == 0,
        "kto.policy_mismatched": draw.normal(-19, 1, rows),
        "kto.reference_mismatched": draw.normal(-20, 1, rows),
        "kto.beta": BETA,
        "kto.desirable_weight": 1.3,
        "kto.undesirable_weight": 0.9,
        "grpo.policy": around(0.3),
        "grpo.old": around(0.3),
        "grpo.reference": around(0.3),
        "grpo.mask": answers(draw, rows),
        "grpo.advantages": draw.normal(0, 1, rows),
        "grpo.total": 200,
        "grpo.kl_coef": KL,
        "grpo.clip_low": CLIP,
        "grpo.clip_high": 0.28,
        "group.rewards": np.concatenate([draw.normal(0, 1, (4, 8)), np.full((1, 8), 0.1)]),
        "ppo.policy": around(0.3),
        "ppo.old": around(0.3),
        "ppo.reference": around(0.3),
        "ppo.values": draw.normal(0, 1, (rows, TIME)),
        "ppo.old_values": draw.normal(0, 1, (rows, TIME)),
        "ppo.score": draw.normal(0, 1, rows),
        "ppo.mask": answers(draw, rows),
        "ppo.gamma": GAMMA,
        "ppo.lam": LAM,
        "ppo.clip": CLIP,
        "ppo.kl_coef": KL,
    }


@pytest.fixture(scope="module")
def theirs(inputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    folder = tmp_path_factory.mktemp("trl")
    np.savez(folder / "inputs.npz", **inputs)
    results: dict[str, Tensor] = {}
    for python in PYTHONS:
        command = [python, str(SCRIPT), str(folder / "inputs.npz"), str(folder / "outputs.npz")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with np.load(folder / "outputs.npz") as file:
            results |= {key: torch.from_numpy(file[key]) for key in file.files if key != "version"}
    return results


@pytest.fixture
def agree(inputs: dict[str, Any], theirs: dict[str, Tensor]) -> Callable[..., None]:
    """Our results against TRL's of the same names, as close as double precision allows; `pytest -s` prints how far."""

    def check(name: str, ours: dict[str, Tensor], atol: float = 1e-12) -> None:
        wanted = {key: value for key, value in theirs.items() if key.startswith(name + ".")}
        if not wanted:
            pytest.skip(f"this version of TRL has no {name}; {INSTALL}")
        for key, value in ours.items():
            expected = wanted[f"{name}.{key}"]
            print(f"{name}.{key}: {(value - expected).abs().max():.1e}")
            torch.testing.assert_close(value.double(), expected.double(), rtol=0, atol=atol)

    return check


@pytest.fixture
def given(inputs: dict[str, Any]) -> Callable[[str], dict[str, Tensor]]:
    def of(name: str) -> dict[str, Tensor]:
        return {
            key.split(".")[1]: torch.from_numpy(np.asarray(value))
            for key, value in inputs.items()
            if key.startswith(name)
        }

    return of


Given = Callable[[str], dict[str, Tensor]]
Agree = Callable[..., None]


def gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    return torch.autograd.grad(loss, leaf, retain_graph=True)[0]


def test_log_probabilities_and_entropy(given: Given, agree: Agree) -> None:
    a = given("logprobs")
    agree("logprobs", {"logprobs": token_logprobs(a["logits"], a["tokens"]), "entropy": entropy(a["logits"])})


def test_log_probabilities_of_bfloat16_differ_as_trl_stays_in_bfloat16(given: Given, theirs: dict[str, Tensor]) -> None:
    """TRL's own error is its rounding of the result, up to 2^-8 of it; ours is that of the logits alone."""
    if "logprobs.bfloat16" not in theirs:
        pytest.skip(f"this version of TRL has no selective_log_softmax; {INSTALL}")
    a = given("logprobs")
    rounded = a["logits"].bfloat16()
    exact = rounded.double().log_softmax(-1).gather(-1, a["tokens"][..., None]).squeeze(-1)
    assert (token_logprobs(rounded, a["tokens"]) - exact).abs().max() < 1e-5
    assert (theirs["logprobs.bfloat16"] - exact).abs().max() > 1e-3


def test_sft(given: Given, agree: Agree) -> None:
    a = given("sft")
    logits, total = a["logits"].requires_grad_(), a["mask"].sum()
    half = len(logits) // 2
    loss = sft_loss(logits, a["targets"], a["mask"])
    parts = [
        sft_loss(logits[rows], a["targets"][rows], a["mask"][rows], total) for rows in (slice(half), slice(half, None))
    ]
    agree("sft", {"loss": loss, "grad.logits": gradient(loss, logits), "micro": parts[0] + parts[1]})


def test_reward(given: Given, agree: Agree) -> None:
    a = given("reward")
    chosen, rejected = a["chosen"].requires_grad_(), a["rejected"].requires_grad_()
    loss = bradley_terry(chosen, rejected, a["margin"]) + center(chosen, rejected, 0.01)
    ours = {
        "loss": loss,
        "grad.chosen": gradient(loss, chosen),
        "grad.rejected": gradient(loss, rejected),
        "plain": bradley_terry(chosen, rejected),
        "margin": bradley_terry(chosen, rejected, a["margin"]),
    }
    agree("reward", ours)


def test_dpo(given: Given, agree: Agree) -> None:
    """TRL's smoothing is another, "robust" (Chowdhury et al. 2024): it takes the swapped loss away, ours adds it."""
    a = given("dpo")
    policy = a["policy"].requires_grad_()

    def sides(length_normalised: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        chosen, rejected = sequence_logprobs(policy, a["mask"], length_normalised).chunk(2)
        reference = sequence_logprobs(a["reference"], a["mask"], length_normalised).chunk(2)
        return chosen, rejected, reference[0], reference[1]

    loss = dpo(*sides(), BETA).losses.mean()
    chosen, rejected, reference_chosen, reference_rejected = sides()
    swapped = dpo(rejected, chosen, reference_rejected, reference_chosen, BETA).losses
    robust = ((1 - SMOOTHING) * dpo(*sides(), BETA).losses - SMOOTHING * swapped) / (1 - 2 * SMOOTHING)
    ours = {
        "loss": loss,
        "grad.policy": gradient(loss, policy),
        "losses": dpo(*sides(), BETA).losses,
        "length_normalised": dpo(*sides(True), BETA).losses.mean(),
        "conservative": dpo(*sides(), BETA, SMOOTHING).losses.mean(),
        "robust": robust.mean(),
    }
    agree("dpo", ours)


def test_kto(given: Given, agree: Agree) -> None:
    a = given("kto")
    policy = a["policy"].requires_grad_()
    judged = kto(
        sequence_logprobs(policy, a["mask"]),
        sequence_logprobs(a["reference"], a["mask"]),
        a["desirable"],
        a["policy_mismatched"],
        a["reference_mismatched"],
        BETA,
        float(a["desirable_weight"]),
        float(a["undesirable_weight"]),
    )
    assert judged.kl > 0  # else the clamp alone would be compared
    loss = judged.losses.mean()
    agree("kto", {"loss": loss, "grad.policy": gradient(loss, policy)})
    agree("kto", {"kl": judged.kl}, FLOAT32)


def test_grpo(given: Given, agree: Agree) -> None:
    """Its loss types grpo, bnpo (tokens of what is at hand) and dapo (tokens of the whole batch)."""
    a = given("grpo")
    policy = a["policy"].requires_grad_()
    ours: dict[str, Tensor] = {}
    for name, normalise, total in (("sequence", "sequence", None), ("token", "token", None), ("total", "token", 200)):
        loss, metrics = policy_loss(
            policy, a["old"], a["advantages"][:, None], a["mask"], CLIP, 0.28, KL, a["reference"], normalise, total
        )
        ours |= {f"{name}.loss": loss, f"{name}.grad.policy": gradient(loss, policy)}
    assert 0 < metrics.clip_fraction < 1
    agree("grpo", ours)
    agree("grpo", {"clip_fraction": metrics.clip_fraction, "kl": metrics.reference_kl}, FLOAT32)


def test_group_advantages(given: Given, agree: Agree) -> None:
    rewards = given("group")["rewards"]
    agree("group", {"centred": group_advantages(rewards, scale=False)})
    agree("group", {"scaled": group_advantages(rewards)}, FLOAT32)


def test_ppo(given: Given, agree: Agree, theirs: dict[str, Tensor]) -> None:
    a = given("ppo")
    policy, values, mask = a["policy"].requires_grad_(), a["values"].requires_grad_(), a["mask"]
    rewards = per_token_rewards(a["score"], a["old"], a["reference"], mask, KL)
    advantages, returns = gae(rewards, a["old_values"], mask, GAMMA, LAM)
    errors = value_loss(values, a["old_values"], returns, mask, CLIP)
    agree("ppo", {"rewards": rewards, "returns": returns})
    agree("ppo", {"value.loss": errors, "value.grad": gradient(errors, values)})
    agree("ppo", {"whitened": whiten(advantages, mask)}, FLOAT32)
    loss, metrics = policy_loss(policy, a["old"], theirs["ppo.whitened"], mask, CLIP, CLIP)
    agree("ppo", {"policy.loss": loss, "policy.grad": gradient(loss, policy)})
    agree("ppo", {"clip_fraction": metrics.clip_fraction}, FLOAT32)
