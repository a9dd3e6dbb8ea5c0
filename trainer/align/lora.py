"""Low-rank adaptation: a frozen matrix W acts as W + alpha / rank * B A, and only the thin A and B are learnt.

Hu et al. 2021, section 4.1. The factors stand beside the model and add to its layers' outputs, so that the model
keeps its tensors' names.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainer.model import Trunk

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All matrices of a layer: adapting attention alone learns worse (Dettmers et al. 2023, QLoRA, figure 2)."""


class Factors(nn.Module):
    """A [rank, in], normal with std 1 / sqrt(in), and B [out, rank], zero: at the start they add nothing."""

    def __init__(self, linear: nn.Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = scale
        a = torch.randn(rank, linear.in_features, generator=generator) * linear.in_features**-0.5
        self.a = nn.Parameter(a.to(linear.weight.device))
        self.b = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.a), self.b) * self.scale

    def product(self) -> Tensor:
        """What they add to the matrix, [out, in]."""
        return self.b @ self.a * self.scale


class Lora(nn.Module):
    """Factors for each projection of a trunk, at work as soon as they are made. All that the trunk has is frozen."""

    def __init__(self, trunk: Trunk, rank: int, alpha: float, seed: int = 0) -> None:
        """`alpha` = `rank` leaves the product as it is. The first A depend on `seed` alone, whatever the device."""
        super().__init__()
        trunk.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        self.factors = nn.ModuleDict()
        for name, module in trunk.named_modules():
            if isinstance(module, nn.Linear) and name.split(".")[-1] in PROJECTIONS:
                factors = Factors(module, rank, alpha / rank, generator)
                self.factors[name.replace(".", "/")] = factors  # a module's name may have no dot
                module.register_forward_hook(_adding(factors))

    def merged_state_dict(self, trunk: Trunk) -> dict[str, Tensor]:
        """The trunk's tensors with the products added: a model that needs no factors."""
        weights: Mapping[str, Tensor] = trunk.state_dict()
        added: dict[str, Any] = {f"{name.replace('/', '.')}.weight": factors for name, factors in self.factors.items()}
        return {
            name: weight + added[name].product().detach() if name in added else weight
            for name, weight in weights.items()
        }


def _adding(factors: Factors) -> Any:
    def add(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return output + factors(inputs[0])

    return add
