"""The kinds of labelling projects, by name."""

from labeling.kinds import review
from labeling.kinds.comparisons import Comparisons
from labeling.kinds.corrections import Corrections
from labeling.kinds.demonstrations import Demonstrations
from labeling.kinds.kind import Kind
from labeling.kinds.poison_review import PoisonReview
from labeling.kinds.rankings import Rankings
from labeling.kinds.ratings import Ratings

_INNER: tuple[review.Inner, ...] = (
    Demonstrations(),
    Comparisons(),
    Rankings(),
    Corrections(),
    Ratings(),
    PoisonReview(),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _INNER}
"""All but reviews, which are of another kind each."""

REVIEWS: dict[str, Kind] = {kind.name: review.of(kind) for kind in _INNER}
"""Reviews, by the name of the kind whose disagreements they decide."""
