"""Reading the TensorBoard files of a run."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TEXT_SUFFIX = "/text_summary"
"""The suffix that TensorBoard adds to the name of a text."""


class Curve(NamedTuple):
    """A quantity over the steps of a run.

    Attributes:
        steps: Optimizer steps, ``(n,)``.
        values: The quantity at these steps, ``(n,)``.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


class Log(NamedTuple):
    """The contents of the TensorBoard files of a run.

    Attributes:
        curves: Scalars by name. Steps are counted from 0, as Lightning logs them.
        texts: The last text of each name.
    """

    curves: dict[str, Curve]
    texts: dict[str, str]


def read_log(folder: Path) -> Log:
    """Read the TensorBoard files of a run.

    A resumed run logs some steps twice; the last value of each step is kept.

    Args:
        folder: The run folder; the log is empty if it has no TensorBoard files.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(
        logging.ERROR
    )  # no warnings about files that a killed run left incomplete
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "histograms": 1, "tensors": 1})
    events.Reload()
    curves, tags = {}, events.Tags()
    for name in tags["scalars"]:
        by_step = {event.step: event.value for event in events.Scalars(name)}
        steps = sorted(by_step)
        curves[name] = Curve(np.array(steps), np.array([by_step[step] for step in steps], dtype=np.float64))
    texts = {}
    for name in tags["tensors"]:
        if name.endswith(TEXT_SUFFIX):
            last = events.Tensors(name)[-1].tensor_proto.string_val[0].decode(errors="replace")
            texts[name.removesuffix(TEXT_SUFFIX)] = last.strip().removeprefix("```").removesuffix("```").strip()
    return Log(curves, texts)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Read the scalars in the TensorBoard files of a run, by name.

    Args:
        folder: The run folder; there are no curves if it has no TensorBoard files.
    """
    return read_log(folder).curves
