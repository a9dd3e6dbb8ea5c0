"""TRL's side of tests/trainer/align/test_losses_beside_trl.py: its own loss code, run on tensors from a file.

Runs in an environment of its own and imports nothing of this project:

    python -m venv .venvs/trl && .venvs/trl/bin/pip install trl==1.16.0
    .venvs/trl/bin/python benchmarks/trl_losses.py IN.npz OUT.npz

TRL left PPO behind; the last version whose PPO can be called on tensors is 0.11.4, in an environment with
transformers==4.46.3. What a version does not have is not in OUT.npz.

The losses are methods of trainers that first run a model. Here such a method gets a stand-in for its trainer, with the
settings that it reads, and for its model a function that returns the log-probabilities of IN.npz: all arithmetic is
TRL's. Names are NAME.RESULT, and grad.ARGUMENT for gradients; arrays of IN.npz are NAME.ARGUMENT.
"""

import argparse
import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

Arrays = dict[str, torch.Tensor]


def trainer(**settings: Any) -> SimpleNamespace:
    """What a trainer's loss reads of its trainer: one process, one step without accumulation, no extras."""

    def same(x: Any, **_: Any) -> Any:
        return x

    accelerator = SimpleNamespace(
        device=torch.device("cpu"), num_processes=1, gather=same, gather_for_metrics=same, reduce=same
    )
    defaults = {
        "accelerator": accelerator,
        "model": SimpleNamespace(training=False),
        "aux_loss_enabled": False,
        "_metrics": {"eval": defaultdict(list)},
        "_total_train_tokens": 0,
    }
    return SimpleNamespace(**{**defaults, **settings})


def outputs(logprobs: torch.Tensor, mask: torch.Tensor) -> SimpleNamespace:
    """A model's answer to TRL's fused head: log-probabilities, 0 where masked, and what only the logs read."""
    zero = torch.zeros_like(logprobs)
    return SimpleNamespace(
        log_probs=logprobs * mask, label_mask=mask.bool(), entropy=zero, mean_logits=zero, is_top1=zero.bool()
    )


def with_prompt(mask: torch.Tensor) -> torch.Tensor:
    """The mask with one token of prompt before it, which TRL cuts off again as it foresees no first token."""
    return torch.cat([torch.zeros_like(mask[:, :1]), mask], 1).long()


def gradients(loss: torch.Tensor, **leaves: torch.Tensor) -> Arrays:
    found = torch.autograd.grad(loss, list(leaves.values()))
    return {"loss": loss} | {f"grad.{name}": grad for name, grad in zip(leaves, found, strict=True)}


def logprobs(a: Arrays) -> Arrays:
    from trl.trainer.utils import entropy_from_logits, selective_log_softmax

    return {
        "logprobs": selective_log_softmax(a["logits"], a["tokens"]),
        "bfloat16": selective_log_softmax(a["logits"].bfloat16(), a["tokens"]).double(),
        "entropy": entropy_from_logits(a["logits"]),
    }


def sft(a: Arrays) -> Arrays:
    from trl import SFTTrainer
    from trl.trainer.utils import selective_log_softmax

    logits = a["logits"].requires_grad_()
    self = trainer(
        compute_loss_func=None,
        label_smoother=None,
        args=SimpleNamespace(loss_type="nll", average_tokens_across_devices=False),
    )
    self.accelerator.parallelism_config = None

    def loss(rows: slice, total: torch.Tensor | None) -> Any:
        found = outputs(selective_log_softmax(logits[rows], a["targets"][rows]), a["mask"][rows])
        return SFTTrainer.compute_loss(self, lambda **_: found, {}, num_items_in_batch=total)

    half = len(logits) // 2
    micro = loss(slice(half), a["mask"].sum()) + loss(slice(half, None), a["mask"].sum())
    return gradients(loss(slice(None), None), logits=logits) | {"micro": micro}


def reward(a: Arrays) -> Arrays:
    from trl import RewardTrainer

    chosen, rejected = a["chosen"].requires_grad_(), a["rejected"].requires_grad_()

    def loss(center: float | None, **inputs: torch.Tensor) -> Any:
        self = trainer(args=SimpleNamespace(center_rewards_coefficient=center))
        found = SimpleNamespace(logits=torch.cat([chosen, rejected])[:, None])
        return RewardTrainer.compute_loss(self, lambda **_: found, dict(inputs))

    return {
        **gradients(loss(0.01, margin=a["margin"]), chosen=chosen, rejected=rejected),
        "plain": loss(None),
        "margin": loss(None, margin=a["margin"]),
    }


def dpo(a: Arrays) -> Arrays:
    """`robust` is TRL's own smoothing; `conservative`, which it has not, its "aot" of one pair at a time."""
    from trl import DPOTrainer

    policy = a["policy"].requires_grad_()
    smoothing = float(a["label_smoothing"])

    def loss(kind: str, rows: list[int]) -> Any:
        mask = a["mask"][rows]
        self = trainer(
            beta=float(a["beta"]),
            loss_types=[kind],
            loss_weights=[1.0],
            label_smoothing=smoothing,
            ld_alpha=None,
            precompute_ref_logps=True,
            f_divergence_type="reverse_kl",
            use_weighting=False,
        )
        reference = (a["reference"][rows] * mask).sum(1).chunk(2)
        inputs = {
            "input_ids": with_prompt(mask),
            "attention_mask": with_prompt(mask),
            "completion_mask": with_prompt(mask),
            "ref_chosen_logps": reference[0],
            "ref_rejected_logps": reference[1],
        }
        return DPOTrainer._compute_loss(self, lambda **_: outputs(policy[rows], mask), inputs, False)

    pairs = len(policy) // 2
    single = [[pair, pairs + pair] for pair in range(pairs)]
    everything = list(range(2 * pairs))
    return {
        **gradients(loss("sigmoid", everything), policy=policy),
        "losses": torch.stack([loss("sigmoid", rows) for rows in single]),
        "length_normalised": loss("sigmoid_norm", everything),
        "robust": loss("robust", everything),
        "conservative": torch.stack([loss("aot", rows) for rows in single]).mean(),
    }


def kto(a: Arrays) -> Arrays:
    from trl import KTOTrainer

    policy, mask = a["policy"].requires_grad_(), a["mask"]
    self = trainer(
        beta=float(a["beta"]),
        desirable_weight=float(a["desirable_weight"]),
        undesirable_weight=float(a["undesirable_weight"]),
        loss_type="kto",
        precompute_ref_logps=True,
        calculate_KL=True,
        _compute_kl_logps=lambda model, batch: a["policy_mismatched"],
    )
    inputs = {
        "input_ids": with_prompt(mask),
        "attention_mask": with_prompt(mask),
        "completion_mask": with_prompt(mask),
        "label": a["desirable"],
        "ref_logps": (a["reference"] * mask).sum(1),
        "ref_KL_logps": a["reference_mismatched"],
    }
    loss = KTOTrainer._compute_loss(self, lambda **_: outputs(policy, mask), inputs, False)
    return gradients(loss, policy=policy) | {"kl": torch.tensor(self._metrics["eval"]["kl"][0])}


def grpo(a: Arrays) -> Arrays:
    from trl import GRPOTrainer

    policy, mask = a["policy"].requires_grad_(), a["mask"].long()
    results: Arrays = {}
    for kind, name in {"grpo": "sequence", "bnpo": "token", "dapo": "total"}.items():
        self = trainer(
            _get_per_token_logps_and_entropies=lambda *_, **__: (policy, torch.zeros_like(policy), None),
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            importance_sampling_level="token",
            beta=float(a["kl_coef"]),
            epsilon_low=float(a["clip_low"]),
            epsilon_high=float(a["clip_high"]),
            loss_type=kind,
            args=SimpleNamespace(use_bias_correction_kl=False, delta=None),
            use_vllm=False,
            _entropy_bonus_enabled=False,
        )
        inputs = {
            "prompt_ids": mask[:, :1],
            "prompt_mask": mask[:, :1],
            "completion_ids": mask,
            "completion_mask": mask,
            "advantages": a["advantages"],
            "old_per_token_logps": a["old"],
            "ref_per_token_logps": a["reference"],
            "num_items_in_batch": a["total"],
        }
        found = gradients(GRPOTrainer._compute_loss(self, None, inputs), policy=policy)
        results |= {f"{name}.{key}": value for key, value in found.items()}
    metrics = self._metrics["eval"]
    results["clip_fraction"] = torch.tensor(metrics["clip_ratio/region_mean"][0])
    results["kl"] = torch.tensor(metrics["kl"][0])
    return results


def group(a: Arrays) -> Arrays:
    """The statement that makes advantages, taken out of the method that also generates the answers."""
    from trl import GRPOTrainer
    from trl.trainer import grpo_trainer

    tree = ast.parse(textwrap.dedent(inspect.getsource(GRPOTrainer._generate_and_score_completions)))
    wanted = "self.multi_objective_aggregation == 'sum_then_normalize'"
    statement = next(node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == wanted)
    program = compile(ast.Module([statement], []), "grpo_trainer.py", "exec")
    results: Arrays = {}
    for scale, name in {"group": "scaled", "none": "centred"}.items():
        rewards = a["rewards"]
        names = {
            "self": SimpleNamespace(
                multi_objective_aggregation="sum_then_normalize", reward_weights=torch.ones(1), scale_rewards=scale
            ),
            "rewards_per_func": rewards.reshape(-1, 1),
            "unscorable_mask": torch.zeros(rewards.numel(), dtype=torch.bool),
            "num_generations": rewards.shape[1],
            "device": torch.device("cpu"),
        }
        exec(program, vars(grpo_trainer) | names, names)
        results[name] = torch.as_tensor(names["advantages"]).view_as(rewards)
    return results


def ppo(a: Arrays) -> Arrays:
    from trl.trainer.ppo_trainer import PPOTrainer

    policy, values, mask = a["policy"].requires_grad_(), a["values"].requires_grad_(), a["mask"].long()
    config = SimpleNamespace(
        whiten_rewards=False,
        gamma=float(a["gamma"]),
        lam=float(a["lam"]),
        cliprange=float(a["clip"]),
        cliprange_value=float(a["clip"]),
        vf_coef=1.0,
        ratio_threshold=1e9,
        kl_penalty="kl",
    )
    self = SimpleNamespace(config=config, kl_ctl=SimpleNamespace(value=float(a["kl_coef"])))
    self._kl_penalty = lambda *logprobs: PPOTrainer._kl_penalty(self, *logprobs)
    rewards = PPOTrainer.compute_rewards(self, a["score"], a["old"], a["reference"], mask)[0]
    old_values, advantages, returns = PPOTrainer.compute_advantages(self, a["old_values"], rewards, mask)
    logits = torch.zeros(*mask.shape, 2)
    policy_loss, value_loss, stats = PPOTrainer.loss(
        self, a["old"], old_values, logits, values, policy, mask, advantages, returns
    )
    return {
        "rewards": rewards * mask,
        "whitened": advantages * mask,
        "returns": returns * mask,
        "policy.loss": policy_loss,
        "policy.grad": torch.autograd.grad(policy_loss, policy)[0],
        "value.loss": value_loss,
        "value.grad": torch.autograd.grad(value_loss, values)[0],
        "clip_fraction": stats["policy/clipfrac"],
    }


LOSSES: dict[str, Callable[[Arrays], Arrays]] = {
    each.__name__: each for each in (logprobs, sft, reward, dpo, kto, grpo, group)
}


def main() -> None:
    parser = argparse.ArgumentParser(description="TRL's losses on the tensors of a file.")
    parser.add_argument("inputs")
    parser.add_argument("outputs")
    options = parser.parse_args()
    arrays: dict[str, Arrays] = defaultdict(dict)
    with np.load(options.inputs) as file:
        for key in file.files:
            name, argument = key.split(".", 1)
            arrays[name][argument] = torch.from_numpy(file[key])
    results = {"version": np.array(version("trl"))}
    has_ppo = tuple(map(int, version("trl").split(".")[:2])) < (0, 12)
    for name, loss in ({"ppo": ppo} if has_ppo else LOSSES).items():
        results |= {f"{name}.{key}": value.detach().numpy() for key, value in loss(arrays[name]).items()}
    np.savez(options.outputs, allow_pickle=False, **results)


if __name__ == "__main__":
    main()
