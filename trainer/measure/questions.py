"""Prompts whose answers a verifier will check: each has what the verifier must know, or its row is a bad one."""

from pathlib import Path

from trainer.measure.verify import verifier
from trainer.records import Prompt, Records, read_prompts

WITHOUT_ANSWER = ("json", "format:")
"""Verifiers that know what they look for without a right answer."""


def read_questions(data: tuple[Path, ...], verifier_name: str | None) -> Records[Prompt]:
    """`read_prompts`, where a verifier is named with its demands.

    Raises RecordsError, with file and line, where a right answer is missing or is one that no answer could meet.
    """
    if verifier_name is None:
        return read_prompts(data)
    check = verifier(verifier_name)

    def demand(prompt: Prompt) -> None:
        if prompt.answer is None and not verifier_name.startswith(WITHOUT_ANSWER):
            raise ValueError(f'no right answer, which the verifier {verifier_name} needs; give it as "answer"')
        check.score(prompt.messages[-1].content, "", prompt.answer or "")

    return read_prompts(data, check=demand)
