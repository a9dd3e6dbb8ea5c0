"""Answers of models, from any server that speaks OpenAI's chat API: drafts to correct, answers to compare.

What a model can't answer costs its own sample only; a server that is not there, or denies the key, stops the push.
"""

import os
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from labeling.kinds.kind import LIMIT, Draft, Json
from labeling.kinds.texts import storable

KEYS = "CORPUSCLE_ENDPOINT_KEYS"
"""The environment variable with keys by host, `api.example.com=KEY,127.0.0.1:8000=KEY`: none goes to another's host."""

TIMEOUT = 120.0
"""Seconds for one answer; a small model on a CPU writes 20 to 50 tokens in one."""

RETRIES = 3
LONGEST_DELAY = 30.0
"""Seconds between two attempts, whatever the server asks for."""

AT_ONCE = 4
"""Questions under way at a time."""

HOPELESS = 8
"""So many questions in one call, all without an answer, are a fault of the server."""

Messages = Sequence[Json]


class DraftError(Exception):
    """A model that can't be asked, and what to do. What was drafted before is kept."""


@dataclass(frozen=True)
class NoAnswer:
    """Why a model gave no answer that could be shown."""

    reason: str
    failed: bool = False
    """Whether the server failed, and not the question."""


@dataclass(frozen=True)
class Endpoint:
    """`MODEL@URL`, or the URL alone where the server has one model: `small@http://127.0.0.1:8000/v1`."""

    url: str
    model: str | None

    @staticmethod
    def parse(text: str) -> "Endpoint":
        """Raises DraftError, which quotes nothing that may be a key."""
        if re.search("[?#]", text):
            raise DraftError(f"an endpoint's URL has no ? or #; a key goes into {KEYS}, as HOST=KEY")
        found = re.fullmatch(r"(?:(?P<model>.+)@)?(?P<url>https?://[^\s@]+)", text.strip())
        try:
            url = httpx.URL(found["url"]) if found else None
        except httpx.InvalidURL:
            url = None
        if found is None or url is None or not url.host:
            told = text.rpartition("@")[2]  # before it there may be a password
            raise DraftError(
                f"{told!r:.100} is no endpoint; expected a URL or MODEL@URL, small@http://127.0.0.1:8000/v1, "
                f"without a password (a key goes into {KEYS}, as HOST=KEY)"
            )
        if url.path in ("", "/"):
            url = url.copy_with(path="/v1")
        return Endpoint(str(url).rstrip("/"), found["model"])


class Drafter:
    """Asks one model. `model` is the name it has on the server; threads may share it.

    Raises DraftError where the server is not there, denies the key, or has several models and none was named.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        max_tokens: int = 1024,
        temperature: float = 0.7,
        timeout: float = TIMEOUT,
        at_once: int = AT_ONCE,
        retries: int = RETRIES,
    ) -> None:
        self.url = endpoint.url
        self.max_tokens, self.temperature, self.at_once, self.retries = max_tokens, temperature, at_once, retries
        host = httpx.URL(self.url)
        key = _key(host)
        if key and host.scheme != "https" and host.host not in ("127.0.0.1", "localhost", "::1"):
            raise DraftError(f"{self.url}: the key of {KEYS} would travel unencrypted; use https")
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=10), headers={"Authorization": f"Bearer {key}"} if key else {}
        )
        self.model = endpoint.model or self._only_model()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Drafter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def answers(self, conversations: Sequence[Messages], seed: int = 0) -> list[Draft | NoAnswer]:
        """An answer to each conversation, in their order."""
        with ThreadPoolExecutor(self.at_once) as threads:
            found = list(threads.map(lambda messages: self.answer(messages, seed), conversations))
        failed = [one for one in found if isinstance(one, NoAnswer) and one.failed]
        if len(found) >= HOPELESS and len(failed) == len(found):
            raise DraftError(
                f"{self.url}: none of {len(found)} questions was answered, the last one because "
                f"{failed[-1].reason}; look at that server, then repeat this"
            )
        return found

    def answer(self, messages: Messages, seed: int = 0) -> Draft | NoAnswer:
        body = {
            "model": self.model,
            "messages": list(messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": seed,
        }
        response = self._ask("POST", "/chat/completions", body)
        if isinstance(response, NoAnswer):
            return response
        try:
            choice = response["choices"][0]
            text, ended = choice["message"].get("content") or "", choice.get("finish_reason")
            if not isinstance(text, str):
                raise TypeError
        except (KeyError, IndexError, TypeError, AttributeError):
            return NoAnswer("its answer has another form than OpenAI's", failed=True)
        if ended == "length" or len(text) > LIMIT:
            return NoAnswer(f"its answer was cut off after {self.max_tokens:,} tokens")
        if not text.strip():
            return NoAnswer("its answer is empty")
        return Draft(storable(text.strip()), self.model)

    def _only_model(self) -> str:
        found = self._ask("GET", "/models")
        if isinstance(found, NoAnswer):
            raise DraftError(f"{self.url}: the list of its models can't be read ({found.reason}); name one, MODEL@URL")
        try:
            names = [str(model["id"]) for model in found["data"]]
        except (KeyError, TypeError):
            names = []
        if len(names) != 1:
            listed = f"it has {', '.join(names[:20])}" if names else "it lists no model"
            raise DraftError(f"{self.url}: {listed}; name the one that is meant, as in MODEL@{self.url}")
        return names[0]

    def _ask(self, method: str, path: str, body: Json | None = None) -> Any:
        """The answer's JSON, or why there is none."""
        reason, asked_for = "", None
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(_delay(attempt, asked_for))
            try:
                response = self._http.request(method, self.url + path, json=body)
            except httpx.ConnectError as error:
                if attempt == self.retries:
                    raise DraftError(f"{self.url}: no server answers ({error}); start it, or name another") from None
                continue
            except httpx.TimeoutException:
                return NoAnswer(f"it took longer than {self._http.timeout.read:g} seconds", failed=True)
            except httpx.TransportError as error:
                reason = f"the connection broke ({error})"
                continue
            if response.status_code in (401, 403):
                raise DraftError(
                    f"{self.url} denies access ({_said(response)}); put its key into {KEYS}, as "
                    f"{httpx.URL(self.url).netloc.decode()}=KEY"
                )
            if response.status_code == 404:
                raise DraftError(f"{self.url}: not found ({_said(response)}); check the URL and the model's name")
            if response.status_code == 429 or response.status_code >= 500:
                reason = f"error {response.status_code} ({_said(response)})"
                asked_for = response.headers.get("retry-after")
                continue
            if not response.is_success:
                return NoAnswer(f"it refused the question ({_said(response)})")
            try:
                return response.json()
            except ValueError:
                return NoAnswer("its answer is not JSON", failed=True)
        return NoAnswer(reason, failed=True)


def _key(url: httpx.URL) -> str:
    pairs = (pair.strip().partition("=") for pair in os.environ.get(KEYS, "").split(","))
    keys = {host: key for host, _, key in pairs}
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return keys.get(f"{url.host}:{port}", "") or keys.get(url.host, "")


def _delay(attempt: int, asked_for: str | None) -> float:
    """Doubled each time and shortened at random, or what the server asks for."""
    if asked_for is not None and asked_for.isdecimal():
        return min(float(asked_for), LONGEST_DELAY)
    return min(2.0 ** (attempt - 1), LONGEST_DELAY) * random.uniform(0.5, 1)


def _said(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        said = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        said = f"status {response.status_code}"
    return " ".join(said.split())[:200]
