"""A model of random weights, and real servers around it: nothing here needs it to make sense, only to be quick."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported; why is said in trainer

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch

from pipeline.tokenize.vocabulary import train
from tests.trainer.conftest import save_model
from trainer.model import Llama, ModelConfig

ROOT = Path(__file__).resolve().parents[4]
TEXTS = ["the cat saw the dog and the bird ran to the old house by the river", "one two three four five"] * 30


def write_model(folder: Path, seed: int, context: int = 128) -> Path:
    """A checkpoint of random weights, whose vocabulary has the control symbols."""
    vocabulary = train(TEXTS, 380)
    config = ModelConfig(380, 32, 2, 2, 1, 64, context)
    model, generator = Llama(config, seed), torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, mean=float(weight.dim() == 1), std=0.2, generator=generator)
    return save_model(folder, model, vocabulary)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), 1)


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("other"), 2)


@dataclass
class Served:
    url: str
    store: Path
    process: subprocess.Popen[bytes]


Serve = Callable[..., contextlib.AbstractContextManager[Served]]


@contextlib.contextmanager
def serving(
    model: Path,
    store: Path,
    *options: str,
    keys: str = "",
    port: int | None = None,
    wait: bool = True,
    says: int = subprocess.DEVNULL,
) -> Iterator[Served]:
    """`corpuscle serve` in a process of its own; `says` is where its words go (subprocess.DEVNULL, or PIPE)."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CORPUSCLE_STORE": f"sqlite:///{store}",
        "CORPUSCLE_API_KEYS": keys,
    }
    command = [sys.executable, "-m", "corpuscle.main", "serve", str(model), "--port", str(port), *options]
    process = subprocess.Popen(command, env=environment, stdout=says)
    served = Served(f"http://127.0.0.1:{port}", store, process)
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended by itself"
            with contextlib.suppress(httpx.TransportError):
                if not wait or httpx.get(f"{served.url}/health").status_code == 200:
                    break
            time.sleep(0.1)
        yield served
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def serve() -> Serve:
    return serving


@pytest.fixture(scope="module")
def server(model: Path, other_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two models, a calculator, 16 rows and room for 240 more."""
    store = tmp_path_factory.mktemp("store") / "reports.db"
    options = ["--against", str(other_model), "--tools", "calculator", "--rows", "16", "--waiting", "240"]
    with serving(model, store, *options, "--tokens", "64") as served:
        yield served


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Headless Chromium; skips where there is none."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium or chromedriver here: install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --window-size=1000,900"
    ).split():
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()
