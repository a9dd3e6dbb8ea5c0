"""One request to Label Studio and its answer: tokens, time limits, what may be repeated, errors that say what to do.

The one module that imports label-studio-sdk: its HTTP client knows both kinds of token and renews the short-lived one.
Its typed calls are not used: they send a POST again after an error 5xx (so tasks twice), lose fields that they don't
know (`parent_prediction`), and build a pydantic object for each task. Seen on Label Studio 1.23.2.
"""

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from labeling.storable import storable_json

Json = dict[str, Any]
Say = Callable[[str], None]

TIMEOUT = 120.0
"""Seconds for one answer. An import of 1,000 tasks took 0.8 s, a page of 1,000 annotated ones 6 s on a busy core."""
CONNECT_TIMEOUT = 10.0
PATIENCE = 60.0
"""Seconds for which a server that is away is waited for: it starts in about 15."""
FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
"""Seconds between attempts: doubled each time, and then shortened by up to a half at random."""


class LabelStudioError(Exception):
    """What went wrong with which server, and what to do, in one sentence or two."""


class UnreachableError(LabelStudioError):
    """No answer, though it was asked repeatedly; what was asked may still have been done."""


class DeniedError(LabelStudioError):
    """The token is not, or no longer, accepted; or its owner may not do this."""


class NotFoundError(LabelStudioError):
    """There is no such project, task or annotation; it may have been deleted in the interface."""


class RefusedError(LabelStudioError):
    """The server understood and said no, in its own words: a labelling configuration at fault, a missing field."""


class Exchange:
    """A server's address with a token of somebody on it. Threads may share it.

    `token` is a legacy token or a personal access token. The latter buys access for 300 seconds at a time, which is
    renewed when it has run out. `timeout` is how many seconds one answer may take, `patience` for how many a server
    that is away is waited for; `say` hears that it is.
    """

    def __init__(
        self, url: str, token: str, timeout: float = TIMEOUT, patience: float = PATIENCE, say: Say | None = None
    ) -> None:
        self.url = check_url(url)
        self.patience = patience
        self._say = say or (lambda _: None)
        if not token.strip() or not token.isascii() or not token.strip().isprintable():
            raise DeniedError(f"{self.url}: that is no token. {_NEW_TOKEN}")
        # A redirect is an error here: one from http to https would turn a POST into a GET, and take the token along.
        loopback = {f"all://{host}": None for host in ("127.0.0.1", "localhost")}  # never through a proxy
        self._connections = httpx.Client(follow_redirects=False, mounts=loopback)
        limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT))
        try:
            self._sdk = LabelStudio(
                base_url=self.url + "/",  # without its slash the SDK would lose the last part of a path
                api_key=token.strip(),
                timeout=cast(float, limits),  # handed on to httpx as it is
                httpx_client=self._connections,
            )
        except ApiError as error:
            raise self._error(401, error.body) from None
        self._http = self._sdk._client_wrapper.httpx_client

    def close(self) -> None:
        self._connections.close()

    def ask(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """The answer's JSON, or None where there is none.

        Everything but POST is repeated while the server is away or fails, until `patience` is over; POST only where
        nothing can have reached it.
        """
        return self._read(self._ask(method, path, body, params))

    def _ask(self, method: str, path: str, body: Any, params: Json) -> httpx.Response:
        until = time.monotonic() + self.patience
        repeatable = method != "POST"
        delay = FIRST_DELAY
        while True:
            try:
                response = self._send(method, path, body, params)
            except httpx.TransportError as error:
                # A connection that was refused has carried nothing, so even a POST may be tried again.
                again = repeatable or isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if not again or time.monotonic() + delay > until:
                    raise self._away(error) from error
            else:
                again = response.status_code == 429 or (repeatable and response.status_code >= 500)
                if not again or time.monotonic() + delay > until:
                    return response
            if delay == FIRST_DELAY:
                self._say(f"{self.url} does not answer; trying again for {self.patience:.0f} seconds")
            time.sleep(delay * random.uniform(0.5, 1))
            delay = min(2 * delay, LONGEST_DELAY)

    def clock(self) -> datetime:
        """The server's time, to the second."""
        response = self._ask("GET", "health", None, {})
        self._read(response)
        try:
            said = parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            raise LabelStudioError(f"{self.url}: its answers have no date; check what stands before it.") from None
        return said if said.tzinfo else said.replace(tzinfo=UTC)  # all dates of HTTP are (RFC 9110, 5.6.7)

    def _send(self, method: str, path: str, body: Any, params: Json) -> httpx.Response:
        content = None if body is None else _encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        for attempt in range(2):
            try:
                response = self._http.request(
                    path,
                    method=method,
                    params=params,
                    content=content,
                    headers=headers,
                    request_options={"max_retries": 0},  # the SDK's own repeats POST too
                )
            except ApiError as error:  # the personal access token could buy no access
                raise self._error(error.status_code or 401, error.body) from None
            except (ValueError, KeyError, TypeError):  # the SDK reads what came instead of the access token
                raise self._stranger() from None
            renewed = response.status_code == 401 and attempt == 0 and self._forget_access()
            if not renewed:
                break
        return response

    def _forget_access(self) -> bool:
        """Access may have run out on the way, or this machine's clock be slow: then the next request buys it anew."""
        tokens = self._sdk._client_wrapper._tokens_client
        tokens._access_token = None
        return not tokens._use_legacy_token

    def _read(self, response: httpx.Response) -> Any:
        if response.is_redirect:
            raise LabelStudioError(
                f"{self.url} redirects to {response.headers.get('location', 'somewhere')}; use that server's own URL."
            )
        if not response.is_success:
            raise self._error(response.status_code, response.text)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise self._stranger() from None

    def _stranger(self) -> LabelStudioError:
        return LabelStudioError(f"{self.url}: what answers is no Label Studio (its answer is not JSON); check the URL.")

    def _away(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(
            f"{self.url}: the server does not answer ({str(error) or type(error).__name__}). "
            "Check that it runs and that the URL is right, then repeat this: it goes on where it was."
        )

    def _error(self, status: int, body: Any) -> LabelStudioError:
        said = _said(body)
        words = f": {said}" if said else ""
        match status:
            case 401:
                return DeniedError(f"{self.url}: the token is not accepted{words}. {_NEW_TOKEN}")
            case 403:
                return DeniedError(f"{self.url}: the token's owner may not do this{words}. Ask the server's owner.")
            case 404:
                return NotFoundError(f"{self.url}: not found{words}. It may have been deleted; check the id and URL.")
            case 400 | 409 | 413 | 415 | 422:
                return RefusedError(f"{self.url} refused{words or f' with status {status}'}")
        return LabelStudioError(
            f"{self.url} answered with error {status}{words}. Look into the server's log, then repeat this."
        )


_NEW_TOKEN = (
    "It is mistyped, expired or revoked: get one in Label Studio under Account & Settings (Personal Access Token, or "
    "Legacy Token), then run `corpuscle label connect`."
)


def check_url(url: str) -> str:
    """The URL without its last slashes. Raises LabelStudioError for one that is none or that holds a password."""
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, UnicodeError):
        raise LabelStudioError(f"{url!r} is no URL; expected one such as http://127.0.0.1:8080") from None
    if parsed.userinfo:
        raise LabelStudioError(f"{parsed.host}: a URL must not hold a password; give the token on its own.")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise LabelStudioError(f"{url!r} is no server's URL; expected one such as http://127.0.0.1:8080")
    return str(parsed).rstrip("/")


def _encode(body: Any) -> bytes:
    """JSON without what the server chokes on.

    It takes half a surrogate pair in a task, and then answers each listing of that project with error 500; PostgreSQL
    takes no NUL.
    """
    spelt = json.dumps(body, allow_nan=False)
    if "\\ud" in spelt or "\\u0000" in spelt:
        spelt = json.dumps(storable_json(body), allow_nan=False)
    return spelt.encode("ascii")


def _said(body: Any) -> str:
    """The server's own words, from the several forms in which it says no; nothing from a page of HTML."""
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return "" if "<html" in body.lower() else _short(body)
    if isinstance(body, dict):
        if body.get("validation_errors"):
            return _short(_words(body["validation_errors"]))
        return _short(_words(body.get("detail") or {k: v for k, v in body.items() if k not in _ENVELOPE}))
    return _short(_words(body))


_ENVELOPE = ("id", "status_code", "version", "exc_info", "display_context")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_words(inner) for inner in value)
    return str(value)


def _short(text: str, most: int = 500) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= most else text[: most - 1] + "…"
