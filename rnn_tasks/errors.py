"""The ways in which a run ends early, each with the one line that its user reads."""

import re


class UsageError(ValueError):
    """What was asked for cannot be done; the message says what to do instead."""


class DivergedError(RuntimeError):
    """The loss or a weight is no longer finite."""


class InterruptedRunError(RuntimeError):
    """A signal asked the run to stop, and it did, with its state saved.

    Args:
        signum: The signal's number, as in :mod:`signal`.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by signal {signum}")


def require(condition: bool, message: str) -> None:
    """Raise a UsageError with this message unless the condition holds."""
    if not condition:
        raise UsageError(message)


NOISE = re.compile(
    r"\s*(Does not|Subtypes:|Errors:|Given value|- Expected a <class|- Not a valid|Subclass types|- a (class|dict))"
)
CHOICES = re.compile(r"Expected a typing\.Literal\[(.*?)\]\. Got value: (.*)")
DETAIL = re.compile(r"Type \S+.*?callable class: |\.* Got value: (Namespace|\{).*")


def brief(message: str) -> str:
    """What is wrong, out of a message of the parser, in one line.

    Example:
        >>> print(
        ...     brief("data:" + chr(10) + "  Does not validate against" + chr(10) + "  Option 'dealy' is not accepted")
        ... )
        data: Option 'dealy' is not accepted
    """
    said = [line for line in message.splitlines() if line.strip() and not NOISE.match(line)]
    lines = [DETAIL.sub("", line).strip(" -.:") for line in said]
    lines = [re.sub(r'^Parser key "(.*)"$', r"\1", line) for line in lines]
    lines = [CHOICES.sub(r"must be one of \1; got \2", line) for line in lines]
    lines = [line.replace("Expected a dot import path string:", "no such class:") for line in lines]
    return ": ".join(dict.fromkeys(line for line in lines if line))
