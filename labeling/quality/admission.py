"""Which labels may train a model: a rule for each project, and for each sample and label the reason.

Two people say the same of about three comparisons in four (Ouyang et al. 2022), so what one says is an opinion; two who
agree, or a reviewer who decides, make a label of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from labeling.kinds import KINDS
from labeling.project import inner_kind
from labeling.quality.merge import Same, largest, merged, said
from labeling.quality.people import BELOW_CHANCE, PHRASE, POSITION, SPEEDING, STRAIGHT_LINING, Person, people
from labeling.quality.scales import WRITTEN
from labeling.quality.speed import too_fast
from labeling.quality.table import NEWER
from labeling.quality.walk import characters, labelled, reviews_of
from labeling.store.database import Database
from labeling.store.labels import Annotation, Json, StoredSample, get_project


@dataclass(frozen=True)
class Rule:
    """What a label must fulfil. The defaults are for choices; `Rule.of` has each kind's own."""

    min_overlap: int = 2
    """Counted labels that a sample needs. One is enough for what is written."""
    agreement: float = 0.6
    """The least share of the counted labels that say the same: both of two, two of three, three of five."""
    min_gold: int = 5
    """Gold questions from which on an annotator's accuracy is judged; fewer are insufficient evidence."""
    gold_accuracy: float = 0.7
    """Who is less often right on gold does not count: where the whole 95% interval is below, as for 1 of 5 and 9 of 20,
    not for 2 of 5 and 10 of 20."""
    proven: bool = False
    """Whether everybody has to prove it: the whole interval must be above, as for 9 of 9 and 15 of 16, not for 8
    of 8 and 14 of 16; and labels of people with fewer than `min_gold` answers do not count."""
    excluded_flags: frozenset[str] = frozenset({BELOW_CHANCE, PHRASE, SPEEDING, STRAIGHT_LINING, POSITION})
    """Flags with which none of a person's labels counts."""
    unchanged_weight: float = 0.5
    """Weight of a model's draft that was kept as it was: it teaches the model what it says already."""

    def __post_init__(self) -> None:
        if self.min_overlap < 1:
            raise ValueError(f"min_overlap is {self.min_overlap}; expected 1 or more")
        for name in ("agreement", "gold_accuracy", "unchanged_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a number from 0 to 1")
        if self.min_gold < 1:
            raise ValueError(f"min_gold is {self.min_gold}; expected 1 or more")

    @staticmethod
    def of(kind: str) -> "Rule":
        """The rule of a kind where nobody says otherwise.

        What is written needs no second person: it is admitted if its author shows no flag, at half weight if a draft
        was kept as it was, and not at all if that was faster than anyone reads; gold can't measure it. A reviewer's
        answer takes the place of all. A held document is one person's decision: it trains no model.
        """
        return Rule(min_overlap=1) if kind in WRITTEN | {"poison-review"} else Rule()


@dataclass(frozen=True)
class Admission:
    """What became of a sample. Of what is written each admitted answer is one, else each sample."""

    sample: StoredSample
    verdict: Json | None
    """What people agreed on, or a reviewer decided; None where nothing is admitted."""
    annotators: tuple[str, ...]
    """Whose labels say so (pseudonyms), sorted."""
    annotations: tuple[int, ...]
    """Which: `Annotation.remote_id`, of this project or of the one that reviews it."""
    admitted: bool
    reason: str
    weight: float
    """The share of the counted labels that say so; less for drafts kept as they were. 0 where refused."""
    left_out: tuple[tuple[int, str], ...] = ()
    """Annotations of this sample that do not count, each with its reason."""
    outvoted: tuple[int, ...] = ()
    """Annotations that count, but say otherwise."""


@dataclass(frozen=True)
class Disagreement:
    """A sample for a reviewer, with what was said, one verdict for each person, without their names."""

    sample: StoredSample
    verdicts: tuple[Json, ...]


@dataclass(frozen=True)
class _Decided:
    verdict: Json | None
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class _Judge:
    """All that a sample is judged by."""

    kind: str
    rule: Rule
    same: Same
    people: Mapping[str, Person]
    decided: Mapping[str, _Decided] = field(default_factory=dict)


def admit(
    database: Database, project: str, rule: Rule | None = None, known: Mapping[str, Person] | None = None
) -> Iterator[Admission]:
    """Judges all samples of a project, by id; without a rule, by that of its kind.

    `known` are the project's people where the caller has measured them already. Raises KeyError for no such project.
    """
    for admission, _ in _judged(database, project, rule, known):
        yield admission


def disagreements(database: Database, project: str, rule: Rule | None = None) -> Iterator[Disagreement]:
    """Samples that have enough counted labels, but no agreement and no reviewer's verdict yet."""
    for admission, counted in _judged(database, project, rule, None):
        if admission.reason.startswith(DISAGREE):
            yield Disagreement(admission.sample, tuple(one.verdict for one in counted if one.verdict is not None))


DISAGREE = "people disagree"


def _judged(
    database: Database, project: str, rule: Rule | None, known: Mapping[str, Person] | None
) -> Iterator[tuple[Admission, list[Annotation]]]:
    kind = inner_kind(database, get_project(database, project))
    same = KINDS[kind].same
    judge = _Judge(
        kind,
        rule or Rule.of(kind),
        same,
        people(database, project) if known is None else known,
        _decisions(database, project, same),
    )
    with database.read() as session:
        for sample, annotations in labelled(session, project):
            yield from _sample(judge, sample, annotations)


def _sample(
    judge: _Judge, sample: StoredSample, annotations: list[Annotation]
) -> Iterator[tuple[Admission, list[Annotation]]]:
    counted: list[Annotation] = []
    left_out: list[tuple[int, str]] = []
    newest = {one.annotator: one.remote_id for one in annotations if one.verdict is not None}
    for one in annotations:
        why = _against(judge, sample, one)
        if why is None and newest[one.annotator] != one.remote_id:
            why = NEWER
        if why is None:
            counted.append(one)
        else:
            left_out.append((one.remote_id, why))
    refused = Admission(sample, None, (), (), False, "", 0.0, tuple(left_out))
    rule = judge.rule
    if sample.gold is not None:
        written = judge.kind in WRITTEN
        reason = "a gold question, which can measure nobody here" if written else "a gold question: it measures people"
        yield replace(refused, reason=reason), counted
    elif sample.id in judge.decided:
        yield _reviewed(refused, judge.decided[sample.id], counted, judge.same), counted
    elif len(counted) < rule.min_overlap:
        reason = "not labelled yet" if not annotations else f"{len(counted)} of {rule.min_overlap} labels that count"
        yield replace(refused, reason=reason), counted
    elif judge.kind in WRITTEN:
        for admission in _written(refused, counted, judge):
            yield admission, counted
    else:
        yield _agreed(refused, counted, judge), counted


def _against(judge: _Judge, sample: StoredSample, one: Annotation) -> str | None:
    """Why a label does not count; None where it does."""
    rule, person = judge.rule, judge.people.get(one.annotator)
    if one.verdict is None:
        return one.reason or "no verdict"
    if one.draft_distance == 0 and too_fast(one.seconds, characters(sample.content)):
        return "draft unchanged, faster than it can be read"
    if person is None:
        return None
    if found := sorted(rule.excluded_flags & {flag.name for flag in person.flags}):
        return f"annotator flagged: {', '.join(found)}"
    if person.gold.count < rule.min_gold:
        return "annotator answered too few gold questions" if rule.proven else None
    reached = person.gold.low if rule.proven else person.gold.high
    return "annotator's accuracy on gold is too low" if reached < rule.gold_accuracy else None


def _agreed(refused: Admission, counted: list[Annotation], judge: _Judge) -> Admission:
    group = largest(counted, judge.same)
    share = len(group) / len(counted)
    votes = f"{len(group)} of {len(counted)}"
    if share < judge.rule.agreement or (share <= 0.5 and len(counted) > 1):
        return replace(refused, reason=f"{DISAGREE}: {votes}")
    reason = f"agreed by {votes}" if len(counted) > 1 else "one person, where the rule asks for one"
    # Who agree on what is wrong may each have written an answer: the first counts that is not a model's own.
    group.sort(key=lambda one: one.draft_distance == 0)
    weight = share * judge.rule.unchanged_weight if group[0].draft_distance == 0 else share
    return _admitted(refused, merged(group), group, counted, reason, weight)


def _written(refused: Admission, counted: list[Annotation], judge: _Judge) -> Iterator[Admission]:
    rest = list(counted)
    while rest:
        group = [one for one in rest if one is rest[0] or judge.same(said(one), said(rest[0]))]
        rest = [one for one in rest if one not in group]
        unchanged = all(one.draft_distance == 0 for one in group)
        reason = "draft kept as it was" if unchanged else "written by a person"
        if len(group) > 1:
            reason = f"the same answer of {len(group)} people"
        weight = judge.rule.unchanged_weight if unchanged else 1.0
        found = _admitted(refused, said(group[0]), group, counted, reason, weight)
        # Another's answer is no vote against this one; and what is left out is told once.
        yield replace(found, outvoted=())
        refused = replace(refused, left_out=())


def _reviewed(refused: Admission, decided: _Decided, counted: list[Annotation], same: Same) -> Admission:
    if decided.verdict is None:
        return replace(refused, reason="reviewers disagree")
    verdict = decided.verdict
    agreeing = [one for one in counted if same(said(one), verdict)]
    group = [*decided.annotations, *agreeing]
    return _admitted(refused, verdict, group, counted, "decided in review", 1.0)


def _admitted(
    refused: Admission, verdict: Json, group: list[Annotation], counted: list[Annotation], reason: str, weight: float
) -> Admission:
    ids = {one.remote_id for one in group}
    return replace(
        refused,
        verdict=verdict,
        annotators=tuple(sorted({one.annotator for one in group})),
        annotations=tuple(sorted(ids)),
        admitted=True,
        reason=reason,
        weight=weight,
        outvoted=tuple(one.remote_id for one in counted if one.remote_id not in ids),
    )


def _decisions(database: Database, project: str, same: Same) -> dict[str, _Decided]:
    """What reviewers decided, by the id of the sample in the project that is reviewed."""
    found: dict[str, list[Annotation]] = {}
    for review in reviews_of(database, project):
        with database.read() as session:
            for sample, annotations in labelled(session, review.name):
                valid = [one for one in annotations if one.verdict is not None]
                if valid and sample.gold is None:
                    found.setdefault(str(sample.content["sample"]), []).extend(valid)
    return {sample: _decision(valid, same) for sample, valid in found.items()}


def _decision(valid: list[Annotation], same: Same) -> _Decided:
    group = largest(valid, same)
    if 2 * len(group) <= len(valid):
        return _Decided(None, ())
    return _Decided(merged(group), tuple(group))


def funnel(admissions: Iterable[Admission]) -> dict[str, dict[str, int]]:
    """Counts by reason: what was "admitted" and "refused", and "labels left out"."""
    counts: dict[str, dict[str, int]] = {"admitted": {}, "refused": {}, "labels left out": {}}
    for one in admissions:
        _count(counts["admitted" if one.admitted else "refused"], one.reason)
        for _, why in one.left_out:
            _count(counts["labels left out"], why)
    return counts


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
