"""Block and allow lists and people's verdicts: plain files whose faults are named by line."""

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
    [("spam.example", "expected host:NAME"), ("host:", "expected host:NAME"), ("id:12", "32 hexadecimal digits")],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, wanted: str) -> None:
    block = write(tmp_path / "block.txt", f"host:a.example\n{line}\n")
    with pytest.raises(ListError, match=r"block\.txt:2: ") as error:
        read_decided(block, [], [])
    assert wanted in str(error.value)


def test_verdicts_release_and_confirm_and_the_last_one_counts(tmp_path: Path) -> None:
    other = ID.replace("8", "9")
    lines = [f'{{"id": "{ID}", "decision": "confirm"}}', f'{{"id": "{other}", "decision": null}}']
    decided = read_decided(
        [], [], write(tmp_path / "a.jsonl", "\n".join([*lines, f'{{"id": "{ID}", "decision": "release"}}']))
    )
    assert decided.released == {bytes.fromhex(ID)}
    assert not decided.confirmed


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("no json", "not a JSON object"),
        ('["a"]', "not a JSON object"),
        (f'{{"id": "{ID}", "decision": "maybe"}}', "expected release or confirm"),
        ('{"id": "xyz", "decision": "release"}', "32 hexadecimal digits"),
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
