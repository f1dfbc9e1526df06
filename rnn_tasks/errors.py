"""The ways in which a run ends early, each with the one line that its user reads."""


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
