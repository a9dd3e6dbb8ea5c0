"""Beam's options as a user gives them behind `--`: the local default, and faults told before anything runs.

Beam itself leaves unknown options out without a word, and exits from inside the job where one has a wrong value.
"""

import argparse
import contextlib
import difflib
import io
from collections.abc import Sequence

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.portability import python_urns
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    GrpcServer,
    GrpcWorkerHandler,
    StateServicer,
    WorkerHandler,
)
from apache_beam.runners.runner import create_runner
from google.protobuf import json_format, text_format  # type: ignore[import-untyped]

from pipeline import workers

LOCAL = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=0"]
LOCAL_RUNNERS = ("FnApiRunner", "DirectRunner", "PrismRunner", "BundleBasedDirectRunner")


class OptionError(Exception):
    """A Beam option that can't be used; the message names it and what was expected."""


@WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class ForkedWorker(GrpcWorkerHandler):
    """A worker process of `--direct_running_mode=multi_processing`, in the place of Beam's own handler for these."""

    def __init__(
        self, command: bytes, state: StateServicer, provision_info: ExtendedProvisionInfo, grpc_server: GrpcServer
    ) -> None:
        super().__init__(state, provision_info, grpc_server)

    def start_worker(self) -> None:
        """Fork it, and tell it where its runner listens."""
        self.process = workers.start(
            {
                "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(self.control_api_service_descriptor()),
                "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(self.logging_api_service_descriptor()),
                "PIPELINE_OPTIONS": json_format.MessageToJson(self.provision_info.provision_info.pipeline_options),
                "WORKER_ID": self.worker_id,
            }
        )

    def stop_worker(self) -> None:
        """Wait for its end: the runner has closed the connection by which it is told what to do."""
        self.process.join()


def beam_options(arguments: Sequence[str]) -> PipelineOptions:
    """The user's Beam options, or the local runner's with one worker process a core. Raises OptionError.

    Unknown options are refused for local runners only: others have some that Beam learns of from their job service.
    """
    named = any(argument.split("=")[0] == "--runner" for argument in arguments)
    options = PipelineOptions([*([] if named else LOCAL), *arguments])
    parsers: list[argparse.ArgumentParser] = []
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            known = options.get_all_options(add_extra_args_fn=parsers.append)
            _, unknown = parsers[0].parse_known_args(arguments)
        except SystemExit:
            fault = told.getvalue().strip().splitlines()[-1].partition("error: ")[2]
            raise OptionError(f"behind --: {fault}") from None
    if is_local_runner(runner_name(options)):
        if unknown:
            raise OptionError(f"behind --: {_unknown(unknown[0], list(known))}")
        workers = options.view_as(DirectOptions).direct_num_workers
        if workers < 0:
            raise OptionError(f"behind --: direct_num_workers is {workers}; expected 1 or more, or 0 for one a core")
    return options


def runner_name(options: PipelineOptions) -> str:
    """The runner that the options ask for."""
    return options.view_as(StandardOptions).runner or "FnApiRunner"


def is_local_runner(name: str) -> bool:
    """Whether a runner keeps its workers on this machine."""
    return name.rpartition(".")[2] in LOCAL_RUNNERS


def prepare_workers(options: PipelineOptions) -> None:
    """Let what worker processes on this machine are forked from begin to import, where the job will have such."""
    local = is_local_runner(runner_name(options))
    if local and options.view_as(DirectOptions).direct_running_mode == "multi_processing":
        workers.prepare()


def check_runner(name: str) -> None:
    """Raises OptionError where Beam has no such runner, or it is not installed."""
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise OptionError(f"--runner={name}: {error}") from None


def _unknown(argument: str, known: list[str]) -> str:
    name = argument.partition("=")[0]
    if not name.startswith("--"):
        return f"{argument} is not an option of Beam's; expected --name=value"
    near = difflib.get_close_matches(name[2:].replace("-", "_"), known, n=3)
    meant = f" Did you mean {' or '.join(f'--{option}' for option in near)}?" if near else ""
    return f"Beam's local runner has no option {name}.{meant}"
