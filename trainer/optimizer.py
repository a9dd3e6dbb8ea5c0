"""AdamW as language models use it, the learning rate's course over a run, and the optimiser's state by names."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

SCHEDULES = ("wsd", "cosine")


class DivergedError(RuntimeError):
    """Loss or gradient is not a finite number. The weights were not updated with it."""


def adamw(
    model: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.95)
) -> torch.optim.AdamW:
    """Decay pulls matrices and embeddings alone to zero; norm weights, which are vectors, are left free.

    beta2 = 0.95 as in GPT-3 (Brown et al. 2020, appendix B). The fused kernel is used on CUDA.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for _, weight in named if weight.dim() >= 2], "weight_decay": weight_decay},
        {"params": [weight for _, weight in named if weight.dim() < 2], "weight_decay": 0.0},
    ]
    fused = all(weight.is_cuda for _, weight in named)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=1e-8, fused=fused)


def learning_rate(step: int, steps: int, peak: float, warmup: int, schedule: str, final: float) -> float:
    """The rate of step 0 .. steps - 1: a linear rise over `warmup` steps, in the end down to `final` * peak.

    "wsd" stays at the peak and falls linearly in the last fifth (Hu et al. 2024, MiniCPM); "cosine" falls along half a
    cosine all the way (Loshchilov and Hutter 2016). `final` would be the rate of the step behind the last, so that
    the last step still learns where it is 0.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "wsd":
        left = min(1.0, 5 * (steps - step) / steps)
    elif schedule == "cosine":
        left = (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2
    else:
        raise ValueError(f'schedule is "{schedule}"; expected "wsd" or "cosine".')
    return peak * (final + (1 - final) * left)


def descend(weights: Iterable[Tensor], optimizer: torch.optim.Optimizer, lr: float, clip: float, loss: float) -> float:
    """One update from the gradients that lie in the weights; clears them. Returns their norm before clipping.

    Raises DivergedError, without an update, where the norm or the `loss` they come from is not finite.
    """
    norm = torch.nn.utils.clip_grad_norm_(weights, clip).item()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise DivergedError(f"the loss is {loss:.3g} and its gradient's norm {norm:.3g}")
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad()
    return norm


def state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory by name, e.g. "exp_avg.model.norm.weight"; what `load_state_tensors` takes back."""
    return {
        f"{kind}.{name}": value.detach()
        for name, weight in model.named_parameters()
        if weight.requires_grad
        for kind, value in optimizer.state[weight].items()
    }


def load_state_tensors(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `state_tensors` gave, in full precision."""
    weights = dict(model.named_parameters())
    for full_name, value in tensors.items():
        kind, name = full_name.split(".", 1)
        # Adam's step counter lives on the CPU unless the kernel is fused; the other tensors beside their weight.
        fused = optimizer.param_groups[0].get("fused")
        device = weights[name].device if kind != "step" or fused else torch.device("cpu")
        optimizer.state[weights[name]][kind] = value.to(device)
