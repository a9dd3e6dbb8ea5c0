"""Where a loop's Airflow keeps its things, `airflow` in the loop's folder, and the secrets among them.

Both files of secrets are made at random once and can be read by their owner alone. `login.json` is the one from which
Airflow's SimpleAuthManager itself takes its users' passwords; change one there, and the next start has it.
"""

import base64
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from labeling.private import write_private
from labeling.processes import HOST, ServerError

PORT = 8098
USER = "admin"


@dataclass(frozen=True)
class Secrets:
    """Fernet encrypts connections' passwords in the database, `jwt` signs tokens, `session` the browser's cookies."""

    fernet: str = field(repr=False)
    jwt: str = field(repr=False)
    session: str = field(repr=False)


class Home:
    """`folder` is the loop's. The database is a file in `path`, or, with `postgres`, the one of that URL."""

    def __init__(self, folder: Path | str, port: int = PORT, postgres: str | None = None) -> None:
        self.loop = Path(folder).absolute()
        self.path = self.loop / "airflow"
        self.port = port
        self.postgres = postgres
        self.url = f"http://{HOST}:{port}"

    @property
    def login_file(self) -> Path:
        return self.path / "login.json"

    @property
    def database_file(self) -> Path:
        return self.path / "airflow.db"

    def make(self) -> None:
        """The folder with its secrets, where there are none. Raises OSError, ServerError.

        Its owner alone can look into it: the processes' own umask is that of the caller, for what tasks make elsewhere.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        if not self.login_file.exists():
            write_private(self.login_file, json.dumps({USER: secrets.token_urlsafe(15)}) + "\n")
        if not self._secrets_file.exists():
            made = {"fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}
            made |= {"jwt": secrets.token_urlsafe(64), "session": secrets.token_urlsafe(32)}  # RFC 7518, 3.2
            write_private(self._secrets_file, json.dumps(made, indent=1) + "\n")

    def password(self) -> str:
        """Of USER. Raises OSError, ServerError."""
        return _texts(self.login_file, (USER,))[0]

    def secrets(self) -> Secrets:
        """Raises OSError, ServerError."""
        return Secrets(*_texts(self._secrets_file, ("fernet", "jwt", "session")))

    @property
    def _secrets_file(self) -> Path:
        return self.path / "secrets.json"


def _texts(path: Path, names: tuple[str, ...]) -> list[str]:
    try:
        kept = json.loads(path.read_text("utf-8"))
        found = [kept[name] for name in names]
        if all(isinstance(text, str) and text for text in found):
            return found
    except (ValueError, KeyError, TypeError):
        pass
    raise ServerError(
        f"{path} is damaged: expected JSON with {', '.join(names)}; put it back as it was, or delete it: then a new "
        "one is made."
    )
