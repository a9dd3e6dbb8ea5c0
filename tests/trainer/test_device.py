"""The device that a run asks for is there, or the message says that it isn't."""

import pytest
import torch

from trainer.device import pick_device


def test_the_processor_is_always_there() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")


def test_a_name_that_is_no_device_is_refused() -> None:
    with pytest.raises(ValueError, match=r'device "foo" can\'t be used here.*Expected auto, cpu, or cuda'):
        pick_device("foo")


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match='device "cuda:99" can\'t be used here'):
        pick_device("cuda:99")
