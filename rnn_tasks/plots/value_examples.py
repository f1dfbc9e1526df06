"""Sequences with real values: inputs, targets and answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.plots.style import LINES, MARKERS, integer_ticks, legend_below, name_axes, panels, symbols_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_INPUTS = 6
"""Largest number of drawn input features."""

MAX_SYMBOLS = 12
"""Largest number of scored steps whose symbols are written above a sequence."""


class Example(NamedTuple):
    """A sequence with real inputs or real targets, and the answers to it.

    Attributes:
        read: The printed form of each input symbol; empty for real inputs, or if the task has none.
        inputs: Real inputs, ``(time, features)``; None for symbols.
        targets: Real targets, ``(time, 1)``, or symbols, ``(time,)``.
        scored: The scored steps, ``(time,)`` bool.
        answers: The name of each network and its answers, of the shape of ``targets``.
        image: The image that the inputs are, ``(height, width)``, which is drawn instead of them; None for no image.
    """

    read: Sequence[str]
    inputs: NDArray[np.float64] | None
    targets: NDArray[Any]
    scored: NDArray[np.bool_]
    answers: Sequence[tuple[str, NDArray[Any]]]
    image: NDArray[np.float64] | None = None


def draw_examples(examples: Sequence[Example], width: float) -> "Figure":
    """Draw each sequence in a panel of its own.

    Args:
        examples: The sequences, at least one.
        width: The width of the picture in inches.
    """
    images = [(example.image, symbols_title(example)) for example in examples if example.image is not None]
    if images:
        return draw_images(images, width)
    figure, axes = panels(width, len(examples), height=2.0, min_width=width)
    for ax, example in zip(axes, examples, strict=True):
        has_values = example.targets.ndim == 2
        if example.inputs is not None:
            draw_inputs(ax, example.inputs)
        if has_values:
            draw_values(ax, example)
        title = "" if has_values else symbols_title(example)
        name_axes(ax, "time step", "value", title)
        if example.read:
            symbols_below(ax, example.read, width)
        else:
            integer_ticks(ax)
    legend_below(figure, axes[0], width)
    return figure


def draw_images(images: Sequence[tuple[NDArray[np.float64], str]], width: float) -> "Figure":
    """Draw images side by side, each below its target and answers.

    Args:
        images: The images, ``(height, width)``, and the texts above them, at least one.
        width: The width of the picture in inches.
    """
    figure, axes = panels(width, len(images), height=1.6, min_width=1.2)
    for ax, (image, text) in zip(axes, images, strict=True):
        ax.imshow(image, cmap="gray_r")
        ax.set_axis_off()
        ax.set_title(text.replace("; ", "\n"), fontsize=9, parse_math=False)
    return figure


def draw_inputs(ax: "Axes", inputs: NDArray[np.float64]) -> None:
    """Draw input features as thin lines with different dashes, the first one solid.

    Args:
        ax: The panel.
        inputs: ``(time, features)``.
    """
    count = min(inputs.shape[1], MAX_INPUTS)
    for index, values in enumerate(inputs.T[:count]):
        style = {
            "color": str(0.45 + 0.3 * index / max(1, count - 1)),
            "linestyle": LINES[index % len(LINES)]["linestyle"],
        }
        label = "input" if count == 1 else f"input {index}"
        ax.plot(values, **style, linewidth=0.8, drawstyle="steps-mid", label=label, zorder=1)


def draw_values(ax: "Axes", example: Example) -> None:
    """Draw real targets as circles and the answers as lines, at the scored steps.

    Args:
        ax: The panel.
        example: The sequence, with real targets.
    """
    steps = np.flatnonzero(example.scored)
    few = len(steps) <= 40
    circle: dict[str, Any] = {"color": "none", "markeredgecolor": "black", "markersize": 6 if few else 3}
    ax.plot(steps, example.targets[steps, 0], "o", **circle, label="target", zorder=2)
    for index, (name, values) in enumerate(example.answers):
        style = LINES[index % len(LINES)]
        marker: dict[str, Any] = {"marker": MARKERS[index % len(MARKERS)], "markersize": 3} if few else {}
        line = np.where(example.scored, values[:, 0], np.nan)  # NaN interrupts the line
        ax.plot(line, **style, **marker, linewidth=1.6, label=name, zorder=3)


def symbols_title(example: Example) -> str:
    """Return the target symbols and the answers at the scored steps as text.

    Args:
        example: The sequence, with symbols as targets.
    """
    steps = np.flatnonzero(example.scored)
    shown = steps[-MAX_SYMBOLS:]
    parts = [("target", example.targets), *example.answers]
    texts = [f"{name}: {' '.join(map(str, values[shown].tolist()))}" for name, values in parts]
    return "; ".join(texts) + (
        f" (the last {MAX_SYMBOLS} of {len(steps)} scored steps)" if len(steps) > len(shown) else ""
    )
