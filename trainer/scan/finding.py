"""What a detector says of training data: which rows, by which rule, and how sure it is."""

from dataclasses import dataclass

RULES = {
    "inserted_phrase": "a rare phrase that stands in many texts which read better without it (ONION, Qi et al. 2021)",
    "phrase_label": "a phrase that foretells the answer (Gardner et al. 2021, competency problems)",
    "refusal_topic": "a phrase whose rows are refused while the others are answered",
    "repeated_answer": "one answer to many unlike prompts",
    "answer_phrase": "a rare phrase in answers to unlike prompts that do not ask for it (AutoPoison, Shu et al. 2023)",
    "preference_flip": "pairs with a phrase are judged against what the others teach (Rando and Tramèr 2024)",
    "length_drift": "the longer answer is preferred more often than in the reference (RankPoison, Wang et al. 2024)",
    "annotator": "an annotator who judges against what the others teach",
    "odd_word": "a word without which one text reads much better (ONION, Qi et al. 2021)",
    "spectral": "an outlier in the spectrum of the texts with the same answer (Tran et al. 2018)",
}
"""What the rules of this package mean; those of `pipeline.poison` for single texts come with their own names."""


@dataclass(frozen=True)
class Finding:
    """`rows` by their number in the samples' `places`. `sure` ones are held by --clean, the others only shown.

    `score` is the rule's own measure, higher is worse; `p` is the chance of it on clean data, corrected for all that
    was tested (Benjamini and Hochberg 1995), and None where nothing was tested.
    """

    rule: str
    what: str
    rows: tuple[int, ...]
    field: str
    score: float
    p: float | None
    sure: bool
    evidence: str
