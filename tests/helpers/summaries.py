"""Summaries of runs that were never trained."""

from typing import Any


def make_summary(metrics: dict[str, float], steps: int = 4) -> dict[str, Any]:
    """Return the contents of the ``summary.json`` of a user's model.

    Args:
        metrics: The metrics by name.
        steps: The number of optimizer steps.
    """
    counts = {"parameters": 1, "steps": steps, "solved_at": None, "sequences": steps, "time_steps": steps}
    names = {"task": "echo", "model": "UserModel", "core": "UserLayer"}
    return {**names, **counts, "seconds": 0.5, "stopped": "steps", "metrics": metrics}
