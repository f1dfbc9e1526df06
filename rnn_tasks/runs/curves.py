"""Reading the logged values of a run: ``curves.jsonl``, or the TensorBoard files of a run of version 0.1.0."""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CURVES = "curves.jsonl"
"""The file of the logged values: one JSON object for each logged step."""

STEP, TEXTS = "step", "texts"
"""Keys of a logged step that are not names of values."""

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
    """The logged values of a run.

    Attributes:
        curves: Values by name. Steps are counted from 0, as Lightning logs them.
        texts: The last text of each name.
    """

    curves: dict[str, Curve]
    texts: dict[str, str]


def read_log(folder: Path) -> Log:
    """Read the logged values of a run.

    A resumed run logs some steps twice; the last value of each step is kept. Damaged lines are skipped.

    Args:
        folder: The run folder; the log is empty if nothing was logged.
    """
    if not (folder / CURVES).is_file():
        return read_events(folder)
    values: dict[str, dict[int, float]] = {}
    texts: dict[str, str] = {}
    for row in read_rows(folder / CURVES):
        for name, value in row.items():
            if isinstance(value, float | int) and name != STEP:
                values.setdefault(name, {})[row[STEP]] = float(value)
        logged = row.get(TEXTS)
        if isinstance(logged, Mapping):
            texts |= {str(name): text for name, text in logged.items() if isinstance(text, str)}
    return Log({name: curve_of(by_step) for name, by_step in values.items()}, texts)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Read the logged numbers of a run, by name.

    Args:
        folder: The run folder; there are no curves if nothing was logged.
    """
    return read_log(folder).curves


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the logged steps of a file, without the lines that a killed process left incomplete.

    Args:
        path: The file.
    """
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and type(row.get(STEP)) is int and abs(row[STEP]) < 2**63:
            yield row


def curve_of(by_step: Mapping[int, float]) -> Curve:
    """Return a curve from its values by step."""
    steps = sorted(by_step)
    return Curve(np.array(steps, dtype=np.int64), np.array([by_step[step] for step in steps], dtype=np.float64))


def read_events(folder: Path) -> Log:
    """Read the TensorBoard files of a run.

    Args:
        folder: The run folder; the log is empty if it has no TensorBoard files.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(
        logging.ERROR
    )  # no warnings about files that a killed run left incomplete
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "histograms": 1, "tensors": 1})
    try:
        events.Reload()
    except UnicodeEncodeError:  # TensorBoard cannot open a folder whose name is not UTF-8
        return Log({}, {})
    tags = events.Tags()
    curves = {name: curve_of({event.step: event.value for event in events.Scalars(name)}) for name in tags["scalars"]}
    texts = {}
    for name in tags["tensors"]:
        if name.endswith(TEXT_SUFFIX):
            strings = events.Tensors(name)[-1].tensor_proto.string_val
            last = strings[0].decode(errors="replace") if strings else ""
            texts[name.removesuffix(TEXT_SUFFIX)] = last.strip().removeprefix("```").removesuffix("```").strip()
    return Log(curves, texts)
