"""Read what a run has logged into TensorBoard's files."""

import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TEXT_SUFFIX = "/text_summary"
"""What TensorBoard adds to the name of a text."""


class Curve(NamedTuple):
    """A quantity over a training.

    Attributes:
        steps: Optimizer steps, ``(n,)``.
        values: ``(n,)``.
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


class Log(NamedTuple):
    """What a run has logged into TensorBoard's files.

    Attributes:
        curves: Numbers over training, by name. Steps are those that were logged: Lightning counts them from 0.
        texts: The last text of each name.
    """

    curves: dict[str, Curve]
    texts: dict[str, str]


def read_log(folder: Path) -> Log:
    """Read what a run has logged into TensorBoard's files.

    A resumed run repeats some steps; the last value of each step counts.

    Args:
        folder: The run folder; without such files the log is empty.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of files that a killed run has cut
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
    """Read the numbers that a run has logged into TensorBoard's files, by name.

    Args:
        folder: The run folder; without such files there are no curves.
    """
    return read_log(folder).curves
