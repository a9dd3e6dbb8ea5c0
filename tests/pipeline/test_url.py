"""Hosts and canonical URLs, of good and of broken URLs."""

import pytest

from pipeline.url import canonical, host


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.Example.com/a", "www.example.com"),
        ("http://example.com:8080/", "example.com"),
        ("http://user:secret@example.com/", "example.com"),
        ("http://example.com./", "example.com"),
        ("http://[::1]:80/", "::1"),
        ("http://[::1/", ""),
        ("urn:uuid:1", ""),
        ("", ""),
    ],
)
def test_host(url: str, expected: str) -> None:
    assert host(url) == expected


def test_tracking_parameters_and_fragments_do_not_make_another_page() -> None:
    assert canonical("HTTP://Example.com:80/a?utm_source=x&b=2&a=1#top") == canonical("http://example.com/a?a=1&b=2")


def test_other_parameters_do() -> None:
    assert canonical("http://example.com/a?id=1") != canonical("http://example.com/a?id=2")


def test_a_url_that_can_not_be_parsed_stays_as_it_is() -> None:
    assert canonical("http://[::1/") == "http://[::1/"
