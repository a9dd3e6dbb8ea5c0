"""Block and allow lists and people's verdicts: plain files whose faults are named by line."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.poison.lists import Decided, ListError, PageList, read_decided

ID = "8f14e45fceea167a5a36dedd4bea2543"


def rows(*hosts: str) -> tuple[pa.Array, pa.Array, pa.Array]:
    ids = pa.array([bytes.fromhex(ID)[:15] + bytes([number]) for number in range(len(hosts))], pa.binary(16))
    return ids, pa.array([f"https://{host}/page" for host in hosts]), pa.array(hosts)


def write(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    return [str(path)]


def test_a_host_stands_for_all_hosts_below_it_and_for_no_other(tmp_path: Path) -> None:
    block = write(tmp_path / "block.txt", "# a comment\n\nhost:Spam.example  # and why\n")
    listed = read_decided(block, [], []).blocked
    assert listed.holds(*rows("spam.example", "a.spam.example", "notspam.example")).tolist() == [True, True, False]


def test_a_page_and_a_document_can_be_listed(tmp_path: Path) -> None:
    block = write(tmp_path / "block.txt", f"url:https://one.example/page#top\nid:{ID[:30]}01\n")
    assert read_decided(block, [], []).blocked.holds(*rows("one.example", "two.example", "3.example")).tolist() == [
        True,
        True,
        False,
    ]


def test_a_document_without_a_host_is_on_no_list_of_hosts() -> None:
    listed = PageList(hosts=frozenset({"spam.example"}))
    assert listed.holds(
        pa.array([bytes(16)], pa.binary(16)), pa.array([""]), pa.array([None], pa.string())
    ).tolist() == [False]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("spam.example", "expected host:NAME"),
        ("host:", "expected host:NAME"),
        ("id:12", "32 hexadecimal digits"),
        ("host:http://spam.example/", "no host's name; expected one such as spam.example"),
        ("host:spam.example/page", "no host's name"),
        ("host:spam.example:8080", "no host's name"),
        ("host:*.net", "no host's name"),
        ("host:.net", "no host's name"),
        ("host:one.example, two.example", "no host's name"),
        ("host:com", "'com' is a public suffix"),
        ("host:co.uk", "'co.uk' is a public suffix"),
        ("url:spam.example", "has no scheme; expected an address such as https://spam.example."),
        ("url:spam.example:8080/a", "has no scheme"),
        ("url:http://a.example/ http://b.example/", "has a space in it"),
    ],
)
def test_a_line_that_can_name_nothing_is_told_with_its_place(tmp_path: Path, line: str, wanted: str) -> None:
    block = write(tmp_path / "block.txt", f"host:a.example\n{line}\n")
    with pytest.raises(ListError, match=r"block\.txt:2: ") as error:
        read_decided(block, [], [])
    assert wanted in str(error.value)


@pytest.mark.parametrize(
    ("line", "hosts"),
    [
        ("host:blogs.example.co.uk.", "blogs.example.co.uk"),
        ("host:blogspot.com", "blogspot.com"),  # a suffix too, but of one owner, who has a name to block
        ("host:münchen.example", "münchen.example"),
        ("host:my_page.example", "my_page.example"),
        ("host:203.0.113.7", "203.0.113.7"),
        ("host:[2001:DB8::1]", "2001:db8::1"),
        ("host:localhost", "localhost"),
    ],
)
def test_hosts_of_all_forms_can_be_listed(tmp_path: Path, line: str, hosts: str) -> None:
    assert read_decided([], write(tmp_path / "allow.txt", line), []).allowed.hosts == {hosts}


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("url:http://x.example/y.html # comment", "http://x.example/y.html"),
        ("  url: http://x.example/y.html\t# comment", "http://x.example/y.html"),
        ("url:http://x.example/y.html#part", "http://x.example/y.html"),
        ("url:urn:book:1", "urn:book:1"),
    ],
)
def test_a_comment_behind_an_address_is_none_of_it(tmp_path: Path, line: str, url: str) -> None:
    assert read_decided(write(tmp_path / "block.txt", line), [], []).blocked.urls == {url}


def test_verdicts_release_and_confirm_and_null_waits(tmp_path: Path) -> None:
    other, third = ID.replace("8", "9"), ID.replace("8", "a")
    lines = [f'{{"id": "{ID}", "decision": "release"}}', f'{{"id": "{other}", "decision": null}}']
    lines += [lines[0], f'{{"id": "{third}", "decision": "confirm"}}']
    decided = read_decided([], [], write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert decided.released == {bytes.fromhex(ID)}
    assert decided.confirmed == {bytes.fromhex(third)}


def test_two_verdicts_that_contradict_each_other_are_told_with_both_places(tmp_path: Path) -> None:
    one, other = ({"id": ID, "decision": decision} for decision in ("release", "confirm"))
    (first,) = write(tmp_path / "a.jsonl", json.dumps(one) + "\n")
    (second,) = write(tmp_path / "b.jsonl", "\n" + json.dumps(other) + "\n")
    said = f"{second}:2: the decision on {ID} is confirm, but release in {first}:1; leave one of the two lines."
    with pytest.raises(ListError, match=re.escape(said)):
        read_decided([], [], [first, second])
    (both,) = write(tmp_path / "c.jsonl", f"{json.dumps(one)}\n{json.dumps(other)}\n")
    with pytest.raises(ListError, match=re.escape(f"{both}:2: ") + ".*" + re.escape(f"{both}:1")):
        read_decided([], [], [both])


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("no json", "not a JSON object"),
        ('["a"]', "not a JSON object"),
        (f'{{"id": "{ID}", "decision": "maybe"}}', "expected release or confirm"),
        ('{"id": "xyz", "decision": "release"}', "32 hexadecimal digits"),
        ('{"decision": "release"}', "id is missing"),
        (f'{{"id": "{ID}", "verdict": "release"}}', "decision is missing; expected release or confirm"),
    ],
)
def test_a_bad_verdict_is_named(tmp_path: Path, line: str, wanted: str) -> None:
    with pytest.raises(ListError, match=r"verdicts\.jsonl:2: .*" + wanted):
        read_decided([], [], write(tmp_path / "verdicts.jsonl", "\n" + line))


def test_line_ends_within_a_text_end_no_line(tmp_path: Path) -> None:
    line = f'{{"id": "{ID}", "decision": "release", "text": "a\u2028b\u0085c"}}'
    assert read_decided([], [], write(tmp_path / "a.jsonl", line + "\r\n")).released == {bytes.fromhex(ID)}


def test_a_missing_list_is_named() -> None:
    with pytest.raises(ListError, match=r"nowhere\.txt can't be read"):
        read_decided(["nowhere.txt"], [], [])


def test_what_was_decided_has_a_digest_that_changes_with_it() -> None:
    one = Decided(released=frozenset({bytes(16)}))
    assert one.content != Decided().content
    assert one.content == Decided(released=frozenset({bytes(16)})).content
