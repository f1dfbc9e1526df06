"""Choose the best variant of a tuned axis from the runs that tried its variants."""

import math
from collections.abc import Mapping
from typing import Any

from rnn_tasks.studies.rows import is_finite


def best_of(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the name of the best result: solved in the fewest steps, or else with the lowest validation loss.

    Only the validation counts, so that the test stays unseen. Of equal results, the first is the best.

    Args:
        results: The result of each variant, by the name of the variant; empty for a run that failed.

    Example:
        >>> best_of({"slow": {"solved_at": 50}, "fast": {"solved_at": 25}, "failed": {}})
        'fast'
        >>> best_of({"slow": {"metrics": {"val/loss": 0.2}}, "fast": {"metrics": {"val/loss": 0.3}}})
        'slow'
    """
    return min(results, key=lambda name: rank(results[name]))


def rank(result: Mapping[str, Any]) -> tuple[float, float]:
    """Return steps to solve and validation loss of a run, infinite if missing.

    Args:
        result: The result of the run.
    """
    loss, steps = (result.get("metrics") or {}).get("val/loss"), result.get("solved_at")
    return (math.inf if steps is None else float(steps), float(loss) if is_finite(loss) else math.inf)
