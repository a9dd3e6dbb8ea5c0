"""URLs in one form, and the host that a page belongs to."""

from urllib.parse import urlsplit

from courlan import normalize_url


def host(url: str) -> str:
    """The host, lowercased and without port or trailing dot; "" where a URL has none or is malformed."""
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""


def canonical(url: str) -> str:
    """One spelling for URLs that lead to the same page; a URL that can't be parsed stays as it is.

    Scheme and host are lowercased, default ports, tracking parameters and the fragment go, parameters are sorted.
    """
    try:
        return normalize_url(url.strip().split("#", 1)[0], strict=False)
    except (ValueError, TypeError):
        return url
