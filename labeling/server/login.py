"""The administrator of a server that we run: made once at random, kept in a file that its owner alone can read."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from labeling.private import write_private

EMAIL = "admin@localhost"


class LoginError(Exception):
    """The file with the login is not as it was written."""


@dataclass(frozen=True)
class Login:
    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    """A legacy token of Label Studio: 40 hexadecimal digits."""


def make_login() -> Login:
    return Login(EMAIL, secrets.token_urlsafe(15), secrets.token_hex(20))


def write_login(path: Path, login: Login) -> None:
    """Raises OSError."""
    lines = (f"email: {login.email}", f"password: {login.password}", f"token: {login.token}")
    write_private(path, "\n".join(lines) + "\n")


def read_login(path: Path) -> Login | None:
    """None where there is no file. Raises LoginError, OSError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        lines = []
    found = dict(line.split(": ", 1) for line in lines if ": " in line)
    try:
        return Login(found["email"].strip(), found["password"].strip(), found["token"].strip())
    except KeyError as missing:
        raise LoginError(
            f"{path} has no line '{missing.args[0]}: ...'; put the file back as it was, or move it away together with "
            "the server's data to begin anew."
        ) from None
