"""Test scores by length, lag, depth or another quantity by which a task sorts its results, from a summary."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.runs.summary_text import longer_lengths, scores_by

Kind = Literal["accuracy", "loss"]


class GroupScores(NamedTuple):
    """The test scores of a run by group.

    Attributes:
        groups: The groups, such as lengths, ascending, ``(n,)``.
        scores: The accuracy or the mean squared error of each group, ``(n,)``.
        is_longer: Which groups are lengths beyond those of training, ``(n,)`` bool.
        baseline: The score of the baseline for each group, NaN where it is unknown, ``(n,)``.
        plateaus: The score of each partial solution for each group, NaN where it is unknown, by name, ``(n,)``.
    """

    groups: NDArray[np.int64]
    scores: NDArray[np.float64]
    is_longer: NDArray[np.bool_]
    baseline: NDArray[np.float64]
    plateaus: Mapping[str, NDArray[np.float64]]


def scores_of(metrics: Mapping[str, float], baseline: Mapping[str, Any], kind: Kind) -> dict[str, GroupScores]:
    """Return test scores by the quantity that the groups are, without quantities that have only one group.

    Groups within training have the baseline and the plateaus of the whole test; longer lengths have their own.

    Args:
        metrics: The metrics of a run by name.
        baseline: The baseline of its summary.
        kind: ``accuracy``, or ``loss`` for real values.
    """
    by_length = baseline.get("by_length", {})
    longer = longer_lengths(baseline)
    found: dict[str, GroupScores] = {}
    for quantity, scores in scores_by(metrics, kind).items():
        groups = np.array([group for group, score in scores.items() if np.isfinite(score)], dtype=np.int64)
        if len(groups) < 2:
            continue
        is_longer = np.isin(groups, longer) if quantity == "length" else np.zeros(len(groups), bool)
        sources = [
            by_length[str(group)] if beyond else baseline
            for group, beyond in zip(groups.tolist(), is_longer.tolist(), strict=True)
        ]
        names = dict.fromkeys(plateau["name"] for source in sources for plateau in source.get("plateaus", ()))
        found[quantity] = GroupScores(
            groups,
            np.array([scores[group] for group in groups.tolist()]),
            is_longer,
            values_of(sources, kind),
            {name: values_of([plateau_of(source, name) for source in sources], kind) for name in names},
        )
    return found


def values_of(sources: Sequence[Mapping[str, Any]], kind: str) -> NDArray[np.float64]:
    """Return a score of each source, NaN where it is unknown."""
    return np.array([source.get(kind, np.nan) for source in sources], dtype=np.float64)


def plateau_of(baseline: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the scores of a partial solution in the baseline of a summary; empty if it is not there."""
    return next((plateau for plateau in baseline.get("plateaus", ()) if plateau["name"] == name), {})
