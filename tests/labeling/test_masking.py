"""What identifies a person goes; numbers that only look like it stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.masking import iban, luhn, mask, mask_json


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jo.doe+x@mail.example.org.", "Write to [email]."),
        ("<JO@EXAMPLE.CO.UK>, jö@bücher.example", "<[email]>, [email]"),
        ("mailto:a@b.de?subject=hi", "mailto:[email]?subject=hi"),
        ("call +49 30 901820 or (212) 555-0123", "call [phone] or [phone]"),
        ("my number is 212-736-5000.", "my number is [phone]."),
        ("212.736.5000 / +44 20 7946 0958", "[phone] / [phone]"),
        ("phone: 2127365000", "phone: [phone]"),
        ("Text me at 2127365000!", "Text me at [phone]!"),
        ("from 84.23.11.200, port 80", "from [ip], port 80"),
        ("http://192.168.1.17:8080/x", "http://[ip]:8080/x"),
        ("host 2001:db8::8a2e:370:7334 and fe80::1", "host [ip] and [ip]"),
        ("[2606:4700:4700:0:0:0:0:1111]:443", "[[ip]]:443"),
        ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
        ("5500-0055-5555-5559 and 378282246310005", "[card] and [card]"),
        ("in 2024 4111 1111 1111 1111 was mine", "in 2024 [card] was mine"),
        ("4111 1111 1111 1111 12 26 123", "[card] 12 26 123"),
        ("IBAN DE89 3704 0044 0532 0130 00 at my bank", "IBAN [iban] at my bank"),
        ("GB82WEST12345698765432", "[iban]"),
        ("AB12 GB82 WEST 1234 5698 7654 32 50 EUR", "AB12 [iban] 50 EUR"),
        ("https://jo:secret@example.org/x", "https://[login]@example.org/x"),
        ("postgresql://jo:p%40ss@db:5432/x", "postgresql://[login]@db:5432/x"),
        ("https://token@10.0.0.1/", "https://[login]@[ip]/"),
    ],
)
def test_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Order 2127365000 was shipped",
        "order no. 4111 1111 1111 1112",
        "ticket 1234567890123456",
        "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, 9783161484100",
        "2024-01-15 10:30:00, 15.01.2024, 01/15/2024, 20240115103000",
        "at 1700000000 seconds since 1970",
        "Python 3.11.7, version 1.2.3.4, v10.0.1.2, Chrome 120.0.6099.109",
        "section 1.2.3.4.5",
        "127.0.0.1, ::1, 0.0.0.0 and :: are everybody's",
        "999.1.1.1",
        "x[1::2], std::vector, Bad::Cafe, 10:30:45, 00:1A:2B:3C:4D:5E",
        "pi is 3.14159265358979323846 and e is 2.718281828459045",
        "0.4111111111111111 and 4111111111111111.5",
        "1,234,567,890 people; 1 000 000 000 stars",
        "12 * 34 = 408; 4111111111111111111111111111",
        "DE89 3704 0044 0532 0130 01",
        "@home, a@b, me @ example.org, f(x)@y",
        "https://example.org/a@b?x=1#c@d",
        "deadbeefdeadbeefdeadbeef, 123e4567-e89b-42d3-a456-426614174000",
        "EAN 4006381333931",
        "",
    ],
)
def test_is_left_as_it_is(text: str) -> None:
    assert mask(text) == text


def test_national_numbers_are_those_of_the_regions_that_are_named() -> None:
    text = "030 901820, 212-736-5000, +49 30 901820"
    assert mask(text, regions=["DE"]) == "[phone], 212-736-5000, [phone]"
    assert mask(text, regions=["DE", "US"]) == "[phone], [phone], [phone]"
    assert mask(text, regions=[]) == "030 901820, 212-736-5000, [phone]"


def test_in_json_every_text_is_masked_and_no_key() -> None:
    value = {"a@b.org": [{"content": "a@b.org"}, None, 1.5, True]}
    assert mask_json(value) == {"a@b.org": [{"content": "[email]"}, None, 1.5, True]}


@given(st.text(st.sampled_from("0123456789"), min_size=1, max_size=18))
def test_one_check_digit_in_ten_passes_luhn_and_no_changed_digit_does(digits: str) -> None:
    passing = [check for check in "0123456789" if luhn(digits + check)]
    assert len(passing) == 1
    whole = digits + passing[0]
    for place, digit in enumerate(whole):
        changed = str((int(digit) + 1) % 10)
        assert not luhn(whole[:place] + changed + whole[place + 1 :])


def test_an_iban_has_its_countrys_length_and_checksum() -> None:
    assert iban("NO9386011117947")
    assert not iban("NO9386011117948")
    assert not iban("NO938601111794")
    assert not iban("XX9386011117947")


@given(st.text(st.sampled_from("0123456789 .-+:/@[]abcDE"), max_size=60) | st.text(max_size=40))
def test_masked_twice_is_masked_once(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


@given(st.sampled_from(["jo@example.org", "4111 1111 1111 1111", "84.23.11.200", "GB82WEST12345698765432"]), st.text())
def test_it_is_found_after_any_text_and_a_line_break(found: str, text: str) -> None:
    assert found not in mask(f"{text}\n{found}\n")
