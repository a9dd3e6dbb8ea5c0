"""Near-copies by owners: a flood comes from few, a burst is on many sites within a week."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.poison.floods import NO_DAY, Copies, Spread, copies_of, days, find_floods
from pipeline.registrant import owner_hashes

STORY = "the mayor of the little town said on monday that the old bridge over the river would be closed for repairs "


def pages(owners: int, copies: int, first_day: int = 1, step: int = 0) -> tuple[list[str], list[str], list[str]]:
    """`copies` near-copies dealt to `owners`, one every `step` days."""
    numbers = range(copies)
    texts = [STORY * 3 + f"reported by number {number}" for number in numbers]
    hosts = [f"www.owner{number % owners}.example" for number in numbers]
    return texts, hosts, [f"2024-01-{first_day + number * step:02d}T10:00:00Z" for number in numbers]


def find(texts: list[str], hosts: list[str], dates: list[str]) -> dict[str, set[int]]:
    addresses = np.arange(len(texts), dtype=np.uint64)
    spread = find_floods(copies_of(pa.array(texts), addresses, pa.array(hosts), pa.array(dates)))
    found: dict[str, set[int]] = {}
    for address, rule in zip(spread.addresses.tolist(), spread.rules, strict=True):
        found.setdefault(rule, set()).add(address)
    return found


def test_twenty_copies_from_three_owners_are_a_flood() -> None:
    assert find(*pages(3, 20)) == {"flood": set(range(20))}


@pytest.mark.parametrize(("owners", "copies"), [(3, 19), (4, 20)])
def test_fewer_copies_or_more_owners_are_none(owners: int, copies: int) -> None:
    assert find(*pages(owners, copies)) == {}


def test_ten_owners_within_a_week_are_a_burst() -> None:
    texts, hosts, dates = pages(10, 10)
    dates[9] = "2024-01-07T23:59:59Z"
    assert find(texts, hosts, dates) == {"cluster_burst": set(range(10))}
    dates[9] = "2024-01-08T00:00:00Z"
    assert find(texts, hosts, dates) == {}


def test_only_the_pages_of_the_burst_are_pointed_at() -> None:
    texts, hosts, dates = pages(11, 11)
    dates[10] = "2022-06-01T00:00:00Z"
    assert find(texts, hosts, dates) == {"cluster_burst": set(range(10))}


def test_pages_without_a_date_are_part_of_no_burst() -> None:
    texts, hosts, _ = pages(12, 12)
    assert find(texts, hosts, ["soon"] * 12) == {}


def test_subdomains_are_one_owner_and_blogs_on_a_shared_host_are_many() -> None:
    one = owner_hashes(pa.array(["a.example.com", "b.example.com", "example.com"]))
    many = owner_hashes(pa.array(["a.blogspot.com", "b.blogspot.com", None]))
    assert len(set(one.tolist())) == 1
    assert len(set(many.tolist())) == 3


def test_unlike_texts_do_not_meet() -> None:
    texts = [
        " ".join(f"w{chr(97 + number % 26)}{chr(97 + number // 26)}{chr(97 + place)}" for place in range(26))
        for number in range(40)
    ]
    assert find(texts, ["a.example"] * 40, ["2024-01-01T00:00:00Z"] * 40) == {}


def test_texts_without_words_send_nothing() -> None:
    assert (
        len(copies_of(pa.array(["", "  "]), np.arange(2, dtype=np.uint64), pa.array(["a", "b"]), pa.array(["", ""])))
        == 0
    )


def test_days_are_counted_from_1970_and_bad_dates_have_none() -> None:
    assert days(pa.array(["1970-01-02T00:00:00Z", "x", None])).tolist() == [
        1,
        *[int(NO_DAY)] * 2,
    ]


def test_rows_of_parts_join_in_any_order() -> None:
    texts, hosts, dates = pages(3, 20)
    whole = copies_of(pa.array(texts), np.arange(20, dtype=np.uint64), pa.array(hosts), pa.array(dates))
    places = np.arange(len(whole))
    mixed = Copies.concatenate([whole.select(places[40:]), whole.select(places[:40])])
    one, other = find_floods(whole), find_floods(mixed)
    assert one.addresses.tolist() == other.addresses.tolist()
    assert one.evidence == other.evidence
    assert whole.batch().nbytes == 80 * 28
    assert find_floods(Copies.of(whole.batch())).content == one.content


def test_what_groups_of_keys_show_is_told_once_a_document() -> None:
    texts, hosts, dates = pages(3, 20)
    keys = copies_of(pa.array(texts), np.arange(20, dtype=np.uint64), pa.array(hosts), pa.array(dates))
    groups = [find_floods(keys.select(np.flatnonzero(keys.keys == key))) for key in np.unique(keys.keys)]
    assert Spread.merge(groups).content == find_floods(keys).content
