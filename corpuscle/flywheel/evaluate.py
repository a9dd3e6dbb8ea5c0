"""`corpuscle flywheel evaluate`: how often the checkpoint that people talk to misbehaves, for a history of rates."""

from corpuscle.flywheel.options import FOLDER, FolderOption, JsonOption, now, opened, say


def evaluate(folder: FolderOption = FOLDER, as_json: JsonOption = False) -> None:
    """Ask the current checkpoint all held-out cases, the general questions and the red team's attacks.

    The rates are kept; what is known already is not asked again. Successful attacks become reports. Some questions of
    sampled traffic are asked again: answers that contradict each other are collected.
    """
    with opened(folder) as (config, database, _):
        from flywheel.evaluate import evaluate as measure
        from flywheel.steps import Step

        found = None
        for found in measure(database, config, now()):
            say(Step("evaluate", str(found), found.new), as_json)
        if found is None:
            say(None, as_json, "there are no cases, and attacks are switched off")
