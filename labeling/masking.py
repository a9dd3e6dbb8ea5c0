"""Masks what identifies a person or opens a door: `[email]`, `[phone]`, `[card]`, `[iban]`, `[ip]`, `[login]`.

A shape is not enough where a number has a check: cards pass Luhn, IBANs modulo 97, telephone numbers the plans of their
countries (Google's libphonenumber). What is left out, names and addresses, needs a model; Presidio has one.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from phonenumbers import Leniency, PhoneNumberMatcher

REGIONS = ("US",)
"""Whose national numbers are known beside the international ones with a +. Each further country's plan is another that
dates and order numbers may fit."""

_LOGIN = re.compile(r"(?<=://)[^\s/?#@\"'<>\[\]]+@(?=[\w\[])")
_EMAIL = re.compile(
    r"(?<![\w.%+\-])[\w%+\-](?:[\w.%+\-]{0,62}[\w%+\-])?@(?:[^\W_](?:[\w\-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w\-])"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}")
_DIGITS = re.compile(r"(?<![\w.,])(?<!\w[.,\-])\d+(?:[ \-]\d+)*(?!\w|[.,]\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?![\w:]|\.\d)")
_IPV4 = re.compile(r"(?<![\w.\-])(?<!\bversion )(?<!\brelease )\d{1,3}(?:\.\d{1,3}){3}(?![\w\-]|\.\d)", re.I)
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners
    r"|(?:6011|64[4-9]\d|65\d\d|35(?:2[89]|[3-8]\d))\d{12,15}"  # Discover, JCB
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50|5[6-9]|6[0379])\d{11,17}"  # Maestro
)
"""First digits and lengths, by ISO/IEC 7812's ranges; without them every tenth long number would pass Luhn's check."""

_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
"""The countries whose IBANs have so many characters, by SWIFT's registry."""
_IBAN_LENGTHS = {country: length for length, row in _IBAN_COUNTRIES.items() for country in row.split()}

_PHONE_WORD = re.compile(r"\b(?:tel|(?:tele)?phone|mobile|cell|call|fax|text|whatsapp|sms)\b\W*(?:\w+\W+){0,2}$", re.I)
_NEAR = 24
"""How many characters before a number may call it a telephone's: `call me at`, `phone number:`."""


def mask(text: str, regions: Sequence[str] = REGIONS) -> str:
    """The text with what was found replaced by its kind in brackets.

    A national telephone number written without any separator is one only where a word like `call` stands before it;
    else order numbers would be. `regions` are two-letter country codes.
    """
    text = _LOGIN.sub("[login]@", text)
    text = _EMAIL.sub("[email]", text)
    text = _mask_ibans(text)
    text = _DIGITS.sub(_cards, text)
    text = _IPV6.sub(_ip, text)
    text = _IPV4.sub(_ip, text)
    for region in regions or (None,):
        text = _mask_phones(text, region)
    return text


def mask_json(value: Any, regions: Sequence[str] = REGIONS) -> Any:
    """A JSON value with every text in it masked, its keys left as they are."""
    if isinstance(value, str):
        return mask(value, regions)
    if isinstance(value, dict):
        return {key: mask_json(item, regions) for key, item in value.items()}
    if isinstance(value, list):
        return [mask_json(item, regions) for item in value]
    return value


def luhn(digits: str) -> bool:
    """Whether the last digit is the check of the others (ISO/IEC 7812-1, annex B)."""
    doubled = [2 * int(digit) for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0


def card(digits: str) -> bool:
    """Whether an issuer's first digits, the length and the check digit say so."""
    return _ISSUERS.fullmatch(digits) is not None and luhn(digits)


def iban(compact: str) -> bool:
    """Whether it has its country's length and leaves 1 modulo 97, letters counting from A = 10 (ISO 13616)."""
    if len(compact) != _IBAN_LENGTHS.get(compact[:2]):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def _mask_ibans(text: str) -> str:
    pieces, done, place = [], 0, 0
    while match := _IBAN.search(text, place):
        place = match.start() + 1  # one that fails may hide one that begins inside it
        ends = [end for end, character in enumerate(match[0], 1) if character != " " and character != "-"]
        length = _IBAN_LENGTHS.get(match[0][:2], 0)
        if not 0 < length <= len(ends):
            continue
        end = match.start() + ends[length - 1]
        if iban(re.sub(r"[ \-]", "", text[match.start() : end]).upper()) and not text[end : end + 1].isalnum():
            pieces += [text[done : match.start()], "[iban]"]
            done = place = end
    return "".join([*pieces, text[done:]])


def _cards(match: re.Match[str]) -> str:
    """A run of digits with every card in it masked: of `in 2024 4111 1111 1111 1111` the year stays."""
    parts = re.split(r"([ \-])", match[0])  # digits, separator, digits, ...
    first = 0
    while first < len(parts):
        for behind in range(min(len(parts), first + 2 * 19), first, -2):
            if card("".join(parts[first:behind:2])):
                parts[first:behind] = ["[card]"]
                break
        first += 2
    return "".join(parts)


def _ip(match: re.Match[str]) -> str:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    # The loopback is nobody's; most of what is reserved in IPv6 is code: a slice [1::2], a name like Bad::Cafe.
    nobody = address.is_loopback or address.is_unspecified or (address.version == 6 and address.is_reserved)
    return match[0] if nobody else "[ip]"


def _mask_phones(text: str, region: str | None) -> str:
    pieces, done = [], 0
    for found in PhoneNumberMatcher(text, region, leniency=Leniency.VALID, max_tries=len(text) + 1):
        before = text[max(0, found.start - _NEAR) : found.start]
        if found.raw_string.isdecimal() and not _PHONE_WORD.search(before):
            continue
        if re.search(r"\d[.,]$", before) or re.match(r"[.,]\d", text[found.end : found.end + 2]):
            continue  # a part of a decimal fraction
        pieces += [text[done : found.start], "[phone]"]
        done = found.end
    return "".join([*pieces, text[done:]])
