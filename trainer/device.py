"""What computes, and in which precision."""

import contextlib
from typing import Any

import torch


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU. Raises ValueError if it isn't here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f'device "{name}" can\'t be used here with torch {torch.__version__} ({cause}). '
            "Expected auto, cpu, or cuda where there is a GPU."
        ) from None
    return device


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context of a forward pass: bfloat16 products where `precision` asks for it ("auto": on CUDA)."""
    bfloat16 = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
