"""`corpuscle airflow`: the loop's scheduler on this machine, with its pages."""

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from corpuscle.flywheel.options import FOLDER, FolderOption, now, opened
from corpuscle.label.options import end_on_signals, out, tell_stopped
from corpuscle.terminal import plain

if TYPE_CHECKING:
    from flywheel.airflow.api import Dag

app = typer.Typer(no_args_is_help=True, help="Let Airflow turn the loop: each step by the clock, and when it is due.")


@app.callback()
def _group() -> None:
    """With it a single command keeps its name."""


@app.command(
    short_help="Run Airflow on this machine with the loop's DAGs.",
    epilog="Example: corpuscle airflow up --folder loop",
)
def up(
    folder: FolderOption = FOLDER,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where it answers, on 127.0.0.1 alone.")] = 8098,
    postgres: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="CORPUSCLE_AIRFLOW_POSTGRES",
            help="Keep Airflow's data in this database: postgresql://user:password@host/name. Other users of this "
            "machine can read a password on a command line: better in the variable.",
        ),
    ] = None,
) -> None:
    """Run Airflow on this machine with the loop's DAGs, until Ctrl-C.

    On first use it is installed into an environment of its own (2 minutes, 310 MB). Its data, login and logs are in
    the folder's `airflow`. Label Studio's webhooks lead here: what people say there is fetched at once.
    """
    console = out()

    def tell(text: str) -> None:
        console.print(plain(text))

    end_on_signals()
    with suppress(KeyboardInterrupt), opened(folder) as (config, database, labels):
        from flywheel.airflow.home import USER, Home
        from flywheel.airflow.process import Airflow
        from flywheel.airflow.watch import watch
        from flywheel.airflow.webhooks import Webhooks
        from labeling.webhook import Receiver

        secret = secrets.token_hex(16)
        names = {config.label.project, config.trace.project}
        with Airflow(Home(config.folder, port, postgres), tell) as airflow, Receiver(secret) as receiver:
            tell(f"Airflow: {airflow.home.url}")
            tell(f"login:   {USER}, with the password in {airflow.home.login_file}")
            for dag in airflow.api.dags():
                tell(f"  {told(dag)}")
            console.print("Ctrl-C ends it.")
            webhooks = Webhooks(labels, database, names, receiver, secret, tell)
            try:
                watch(airflow, webhooks, receiver, tell)
            finally:
                webhooks.remove()
    tell_stopped()


def told(dag: "Dag") -> str:
    if dag.paused:
        return f"{dag.id}: paused; its page has the switch"
    if dag.next_run is None:
        return f"{dag.id}: {dag.schedule or 'when it is asked to'}"
    when = f"next at {dag.next_run:%Y-%m-%d %H:%M} UTC" if dag.next_run > now() else "runs at once"
    return f"{dag.id}: {when} ({dag.schedule})"
