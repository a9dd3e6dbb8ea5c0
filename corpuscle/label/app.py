"""`corpuscle label`: a Label Studio server, what people are asked there, what they say, how far it can be trusted."""

import typer

from corpuscle.label import results, server, tasks

app = typer.Typer(
    no_args_is_help=True,
    help="Label with people: projects in Label Studio, their quality, data that `corpuscle train` reads.",
    epilog="In this order: serve (or connect), create, push, (people label,) pull, quality, export.",
)

app.command(
    short_help="Run a Label Studio server on this machine.",
    epilog="Example: corpuscle label serve --port 8080",
)(server.serve)
app.command(
    short_help="Connect with a Label Studio server that runs elsewhere.",
    epilog="Example: corpuscle label connect https://labels.example.com",
)(server.connect)
app.command(
    short_help="Make a project.",
    epilog="Example: corpuscle label create comparisons --name first --overlap 2",
)(tasks.create)
app.command(
    short_help="Send tasks to a project.",
    epilog="Example: corpuscle label push first prompts.jsonl --answers-from small@http://127.0.0.1:8000/v1 "
    "large@http://127.0.0.1:8001/v1",
)(tasks.push)
app.command(
    short_help="Fetch what people said.",
    epilog="Example: corpuscle label pull --watch 60",
)(results.pull)
app.command(
    short_help="Tell how far labels can be trusted.",
    epilog="Example: corpuscle label quality first --output first.html",
)(results.quality)
app.command(
    short_help="Write labels as training data.",
    epilog="Example: corpuscle label export first data/first",
)(results.export)
app.command(short_help="Tell how far each project is.", epilog="Example: corpuscle label status")(results.status)
