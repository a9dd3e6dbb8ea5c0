"""The environment variables with which Label Studio is started: nothing to the outside, no surprise from ours.

Label Studio reads its settings from variables with and without a prefix, bare `HOST` and `PASSWORD` among them, so the
process gets none of ours but these few. Secrets go this way, since every user of a machine can read command lines.
"""

import os

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from labeling.server.login import Login

INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PGPASSWORD", "PGPASSFILE")
QUIET = {
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "PYTHONUNBUFFERED": "1",  # what it says when it fails at once should be in the log
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    # The receiver of webhooks is on this machine, as the server is: with the protection they are silently not sent.
    "SSRF_PROTECTION_ENABLED": "false",
}
LIBPQ = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}


def server_environment(login: Login, postgres: str | None) -> dict[str, str]:
    """All variables of the server's process. Raises ValueError for a database URL that is none."""
    account = {
        "LABEL_STUDIO_USERNAME": login.email,
        "LABEL_STUDIO_PASSWORD": login.password,
        "LABEL_STUDIO_USER_TOKEN": login.token,
    }
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    database = postgres_environment(postgres) if postgres else {"DJANGO_DB": "sqlite"}
    return inherited | QUIET | account | database


def postgres_environment(url: str) -> dict[str, str]:
    """The variables for a URL like postgresql://user:password@host:5432/database, or ...?host=/a/socket's/folder."""
    parsed = parse_postgres(url)
    asked = dict(parsed.query)
    host = parsed.host or asked.pop("host", None) or "localhost"
    unknown = sorted(asked.keys() - LIBPQ.keys())
    if unknown:
        raise ValueError(f"{_shown(parsed)}: Label Studio can't use {', '.join(unknown)}; leave that out of the URL.")
    found = {
        "DJANGO_DB": "postgresql",
        "POSTGRE_USER": parsed.username or "postgres",
        "POSTGRE_PASSWORD": parsed.password or "",  # then libpq looks at PGPASSWORD and ~/.pgpass
        "POSTGRE_NAME": parsed.database or "postgres",
        "POSTGRE_HOST": str(host),
        "POSTGRE_PORT": str(parsed.port or 5432),
    }
    return found | {LIBPQ[name]: str(value) for name, value in asked.items()}


def parse_postgres(url: str) -> URL:
    """Raises ValueError for what is no URL of a PostgreSQL database."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() in ("postgresql", "postgres"):
            return parsed
    except (ArgumentError, ValueError):  # their texts may quote the URL, and so its password
        pass
    raise ValueError(
        "--postgres: the URL can't be read; expected postgresql://user:password@host:5432/database, with special "
        "characters in it %-encoded."
    )


def _shown(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)
