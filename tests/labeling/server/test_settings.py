"""What the server's process is told, and by which way."""

import pytest

from labeling.server.login import Login
from labeling.server.settings import postgres_environment, server_environment

LOGIN = Login("admin@localhost", "a-password", "f" * 40)


def test_a_url_becomes_django_settings() -> None:
    assert postgres_environment("postgresql://me:p%40ss%3Aw%2Frd@db.example.com:5433/labels?sslmode=require") == {
        "DJANGO_DB": "postgresql",
        "POSTGRE_USER": "me",
        "POSTGRE_PASSWORD": "p@ss:w/rd",
        "POSTGRE_NAME": "labels",
        "POSTGRE_HOST": "db.example.com",
        "POSTGRE_PORT": "5433",
        "PGSSLMODE": "require",
    }


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_sockets_folder_may_be_the_host(scheme: str) -> None:
    found = postgres_environment(f"{scheme}://me@/labels?host=/run/postgresql")
    assert (found["POSTGRE_HOST"], found["POSTGRE_PORT"]) == ("/run/postgresql", "5432")
    assert found["POSTGRE_PASSWORD"] == ""


@pytest.mark.parametrize("url", ["mysql://me:secret@host/labels", "me:secret@host", "postgresql://me:secret@host:x/y"])
def test_another_databases_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected postgresql://") as told:
        postgres_environment(url)
    assert "secret" not in str(told.value)


def test_an_option_that_would_be_lost_is_refused() -> None:
    with pytest.raises(ValueError, match="can't use options") as told:
        postgres_environment("postgresql://me:secret@host/labels?options=-csearch_path%3Dx")
    assert "secret" not in str(told.value)


def test_nothing_of_our_own_variables_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads bare names: HOST would change its links, PASSWORD the login, DEBUG what it tells strangers."""
    for name in ("HOST", "PASSWORD", "DEBUG", "LABEL_STUDIO_DATABASE_NAME", "LABEL_STUDIO_API_KEY", "PYTHONPATH"):
        monkeypatch.setenv(name, "ours")
    assert "ours" not in server_environment(LOGIN, None).values()


def test_it_is_told_to_speak_to_nobody_outside() -> None:
    told = server_environment(LOGIN, None)
    assert (told["COLLECT_ANALYTICS"], told["LATEST_VERSION_CHECK"]) == ("false", "false")
    assert (told["SENTRY_DSN"], told["FRONTEND_SENTRY_DSN"]) == ("", "")
