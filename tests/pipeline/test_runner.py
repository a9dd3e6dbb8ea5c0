"""Beam's options: the local runner is the default, and a fault is told before anything runs."""

import pytest

from pipeline.runner import OptionError, beam_options, check_runner


def test_the_local_runner_is_the_default_and_options_pass_through() -> None:
    options = beam_options(["--direct_num_workers=3"]).get_all_options()
    assert options["runner"] == "FnApiRunner"
    assert options["direct_num_workers"] == 3
    assert beam_options(["--runner", "PortableRunner"]).get_all_options()["runner"] == "PortableRunner"


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("--direct_num_workers=abc", "direct_num_workers: invalid int value: 'abc'"),
        ("--direct_num_workers=-1", "direct_num_workers is -1; expected 1 or more, or 0 for one a core"),
        ("--direct_running_mode=x", "invalid choice: 'x'"),
        ("--direct_num_wrokers=2", "has no option --direct_num_wrokers. Did you mean --direct_num_workers"),
        ("workers", "workers is not an option of Beam's; expected --name=value"),
    ],
)
def test_a_faulty_option_of_the_local_runner_is_told(argument: str, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        beam_options([argument])
    assert told in str(caught.value)


def test_another_runner_may_have_options_of_its_own() -> None:
    assert beam_options(["--runner=PortableRunner", "--parallelism_of_mine=3"])


def test_a_runner_that_does_not_exist_is_told() -> None:
    with pytest.raises(OptionError, match="--runner=Foo: "):
        check_runner("Foo")
