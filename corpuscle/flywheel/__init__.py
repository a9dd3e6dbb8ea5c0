"""`corpuscle flywheel`: the loop from what a model did wrong to a better one, a step at a time or all at once."""

from corpuscle.flywheel import scheduling, telling, tracing
from corpuscle.flywheel.app import app
from corpuscle.flywheel.evaluate import evaluate

app.command(
    short_help="Tell what led to something, and what it led to.", epilog="Example: corpuscle flywheel explain 8f14e4"
)(telling.explain)
app.command(short_help="Tell where the loop stands.", epilog="Example: corpuscle flywheel status --output loop.html")(
    telling.status
)
app.command(short_help="Tell the settings.", epilog="Example: corpuscle flywheel settings --json")(scheduling.settings)
app.command(short_help="Tell whether there is anything to train.", epilog="Example: corpuscle flywheel work")(
    scheduling.work
)
app.command(short_help="Make a corpus searchable.", epilog="Example: corpuscle flywheel index 2026-11")(
    scheduling.index
)
app.command(short_help="Measure the current checkpoint.", epilog="Example: corpuscle flywheel evaluate")(evaluate)
app.command(short_help="Find the pages that taught it.", epilog="Example: corpuscle flywheel trace 8f14e4")(
    tracing.trace
)
app.command(short_help="Fetch what people say of pages.", epilog="Example: corpuscle flywheel pages")(tracing.pages)
app.command(short_help="Write a block list.", epilog="Example: corpuscle flywheel block -o blocked.txt")(tracing.block)

__all__ = ["app"]
