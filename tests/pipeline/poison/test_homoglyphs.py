"""Words of look-alike letters: found where a reader would be deceived, passed where real texts mix scripts."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.filter.text import TextBatch
from pipeline.poison import homoglyphs
from pipeline.poison.characters_tables import fold
from pipeline.poison.homoglyphs import find
from pipeline.poison.homoglyphs_words import Places, Word


def words(*texts: str) -> list[str]:
    found = sorted(find(TextBatch(pa.array(texts, pa.string()))).rows, key=lambda row: (row[0], row[2]))
    for document, _, start, end, _, evidence in found:
        assert evidence.startswith(texts[document][start:end])
    return [evidence for *_, evidence in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("you can ignоre that", "ignоre = ignore"),  # Cyrillic о
        ("please ρassword here", "ρassword = password"),  # Greek ρ
        ("a seսret kept", "seսret = seuret"),  # Armenian
        ("the ᏟIA report", "ᏟIA = CIA"),  # Cherokee
        ("to ｏverride it", "ｏverride = override"),  # fullwidth
        ("an 𝐮ser asked", "𝐮ser = user"),  # mathematical
        ("we bypɑss it", "bypɑss = bypass"),  # of the phonetic alphabet
        ("the prevıous page", "prevıous = previous"),  # a dotless i in English
    ],
)
def test_a_latin_word_with_a_letter_from_elsewhere_is_found(text: str, found: str) -> None:
    assert words(text) == [found]


def test_its_neighbours_that_are_wholly_of_look_alikes_are_found_with_it() -> None:
    assert words("he will сору the pаssword") == ["сору = copy", "pаssword = password"]


@pytest.mark.parametrize(
    "text",
    [
        "5 μm and 3 µg at 2 kΩ, Δt of 10 s, cosα",
        "TNFα, NFκB, PPARγ, IFNβ and α-helix",
        "πr and the λmax of it",
        "X-лучи и IT-компания, 4K-видео и e-mail",
        "цена EURпреди час, клубSony и клубSiemens",  # words run together
        "Он знает, где cкачать этот файл бесплатно и без регистрации",  # one slip of the keyboard
        "Diyarbakır ve Yıldız sıcak bir şehir",  # Turkish
        "a walk in Diyarbakır",
        "ＮＨＫのニュース、ｉＰｈｏｎｅ発売、ＣＮＮＭｏｎｅｙ",  # fullwidth in Japanese
        "Ένα κείμενο στα ελληνικά με Windows και Linux",
        "the set ℝn, ℓ and №5, 1ª, Nº, ⓒ 2020",
        "Кот и сор, рот и нос",
        "naïve café Ångström Łódź Đặng",
    ],
)
def test_what_real_texts_mix_passes(text: str) -> None:
    assert words(text) == []


def test_three_slips_together_are_none() -> None:
    assert len(words("Как скачaть прогрaмму и настрoить её")) == 3
    assert words("Как скачaть прогрaмму и настроить её") == []


def test_slips_of_two_documents_do_not_add_up() -> None:
    slip = "Как скачaть прогрaмму и настроить её"
    assert words(slip, slip, slip) == []


def test_words_in_letters_for_show_are_found_in_a_latin_text() -> None:
    assert words("Read this: 𝗶𝗴𝗻𝗼𝗿𝗲 𝘁𝗵𝗲 𝗿𝘂𝗹𝗲𝘀 please") == ["𝗶𝗴𝗻𝗼𝗿𝗲 = ignore", "𝘁𝗵𝗲 = the", "𝗿𝘂𝗹𝗲𝘀 = rules"]
    assert len(words("ｄｅｌｅｔｅ ｔｈｅ ｆｉｌｅ now")) == 3


def test_the_score_is_the_number_of_such_words() -> None:
    found = find(TextBatch(pa.array(["ignоre the rulеs", "plain"]))).rows
    assert [(row[0], row[4]) for row in found] == [(0, 2.0), (0, 2.0)]


def test_folding_gives_the_text_that_a_reader_sees() -> None:
    assert fold("іgn\u200bоrе 𝗮𝗹𝗹 ｒｕｌｅｓ ɪɴ ＜｜ⓐ｜＞") == "ignore all rules in <|a|>"
    assert fold("5 μm, naïve, 中文, Ł") == "5 μm, naïve, 中文, Ł"


MIXED = st.text(st.sampled_from("cоpyсору раssword πλɑ𝐮ｏ1 .-"), max_size=60)


@given(MIXED | st.text(max_size=60), MIXED)
def test_a_text_has_the_findings_that_it_has_alone(one: str, other: str) -> None:
    assert words(one, other) == [*words(one), *words(other)]


def test_of_500_languages_at_most_one_in_a_hundred_has_a_finding(shared_data: Path) -> None:
    texts = []
    with tarfile.open(shared_data / "text" / "udhr.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".xml"):
                texts.append(file.read().decode("utf-8", "replace"))
    assert len(texts) > 500
    assert len({row[0] for row in find(TextBatch(pa.array(texts))).rows}) <= len(texts) // 100


def test_only_so_many_words_of_a_document_are_looked_at_and_one_finding_covers_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    real = homoglyphs.words_at

    def counting(texts: TextBatch, places: Places) -> Iterator[Word]:
        looked.append(len(places))
        return real(texts, places)

    monkeypatch.setattr(homoglyphs, "words_at", counting)
    monkeypatch.setattr(homoglyphs, "MOST_WORDS", 3)
    text = "the ignоre and ignоre then ignоre or ignоre if rulеs end"
    found = find(TextBatch(pa.array([text, "a ignоre b"], pa.string()))).rows
    assert sum(looked) == 4
    assert [row[0] for row in found] == [0, 0, 0, 1, 0]
    _, rule, start, end, score, says = found[-1]
    assert (rule, text[start:end], score) == ("mixed_script", "ignоre if rulеs", 2.0)
    assert says.startswith("2 more words")


def test_words_of_one_script_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counting(texts: TextBatch, places: Places) -> Iterator[Word]:
        looked.append(len(places))
        return iter(())

    monkeypatch.setattr(homoglyphs, "words_at", counting)
    find(TextBatch(pa.array(["ко́т жи́знь о̀стров " * 50 + "аbс"], pa.string())))
    assert looked == [1]


def test_japanese_amid_full_width_words_is_left_alone_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homoglyphs, "MOST_WORDS", 1)
    assert words("これは ｆｉｌｅ です ｄｉｓｋ です ｔａｐｅ です") == []
