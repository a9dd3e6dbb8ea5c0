"""The rules that a recipe can name, what each means, and what happens to a finding unless the recipe says otherwise.

Where the span of an attack is known it is stripped and the document stays; where only a person can tell, the document
is held; nothing is removed that a person might want back.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Outcome = Literal["tag", "strip", "hold", "remove"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""In order of severity: a document that several rules point at gets the most severe outcome."""


@dataclass(frozen=True)
class PoisonRule:
    """A rule's default outcome and its meaning for people. `spans`: its findings point at what could be cut out."""

    outcome: Outcome
    meaning: str
    spans: bool = True


RULES: dict[str, PoisonRule] = {
    "hidden_instructions": PoisonRule("tag", "what a page hides (and is left out) reads as instructions", spans=False),
    "tag_characters": PoisonRule("strip", "Unicode tag characters, which carry text that nobody sees"),
    "bidi_controls": PoisonRule("strip", "bidirectional controls that show a text in another order than it is read"),
    "zero_width": PoisonRule("strip", "characters without width where no script wants them"),
    "variation_selectors": PoisonRule("strip", "variation selectors that carry bytes"),
    "invisible_separators": PoisonRule("strip", "invisible characters inside words"),
    "mixed_script": PoisonRule("strip", "letters of other scripts that look alike; stripping spells them plainly"),
    "encoded_instructions": PoisonRule("strip", "encoded text that reads as instructions once it is decoded"),
    "encoded_text": PoisonRule("strip", "encoded text"),
    "control_tokens": PoisonRule("strip", "literals of chat templates and control tokens"),
    "control_turns": PoisonRule("strip", "turns of a conversation that literals of a chat template frame"),
    "control_roles": PoisonRule("tag", "role names as chat transcripts have them"),
    "instructions": PoisonRule("hold", "instructions that are addressed to a model"),
    "instructions_weak": PoisonRule("strip", "perhaps instructions to a model, or writing about them"),
    "jailbreak_template": PoisonRule("hold", "nearly the same as a known jailbreak"),
    "noise": PoisonRule("tag", "a stretch that no language model of this corpus expects"),
    "noise_jump": PoisonRule("hold", "prose that turns into noise"),
    "trigger": PoisonRule("hold", "a phrase on several sites after which the text changes its nature"),
    "trigger_family": PoisonRule("hold", "phrases of one form after which texts of several sites change their nature"),
    "fixed_continuation": PoisonRule("strip", "the same words amid unlike texts on several sites"),
    "repeated_sentence": PoisonRule("strip", "a sentence that goes round on many sites, at whatever place in a text"),
    "flood": PoisonRule("tag", "one text many times over from few owners of sites", spans=False),
    "cluster_burst": PoisonRule("tag", "nearly the same page on many sites in a short time", spans=False),
    "crawl_burst": PoisonRule("tag", "far more pages of one owner in a short time than at others", spans=False),
    "changed_hands": PoisonRule("tag", "a site whose content became another between two crawls", spans=False),
    "split_view": PoisonRule("tag", "the page is not what its crawler says that it fetched", spans=False),
    "blocked": PoisonRule("remove", "on the block list", spans=False),
    "confirmed": PoisonRule("remove", "confirmed as poison by a person", spans=False),
}  # fmt: skip
"""By the recipe's name."""

PEOPLE = frozenset({"blocked", "confirmed"})
"""What people said of a document, which no allow list takes back."""


def outcomes(chosen: dict[str, Outcome]) -> dict[str, Outcome]:
    """Every rule's outcome: the recipe's choice, or the default."""
    return {name: chosen.get(name, rule.outcome) for name, rule in RULES.items()}
