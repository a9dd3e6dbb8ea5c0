import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_trainer_needs_nothing_that_a_bare_gpu_image_lacks() -> None:
    """torch, numpy, pyarrow, sentencepiece, safetensors and rich are there; Beam, pydantic and typer need not be."""
    program = (
        "import sys; modules = ['trainer.pretrain', 'trainer.sample']; [__import__(name) for name in modules];"
        "print([name for name in ('apache_beam', 'pydantic', 'typer', 'scipy', 'datasketch') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
