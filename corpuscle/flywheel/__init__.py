"""`corpuscle flywheel`: the loop from what a model did wrong to a better one, a step at a time or all at once."""

from corpuscle.flywheel.app import app

__all__ = ["app"]
