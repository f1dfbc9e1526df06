"""How pictures look: sizes, lines that can be told apart in black and white, and names on axes."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

LINES: tuple[dict[str, Any], ...] = (
    {"color": "#12476b", "linestyle": "-"},
    {"color": "#c0501f", "linestyle": (0, (5, 2))},
    {"color": "#5fae78", "linestyle": (0, (1, 1.3))},
    {"color": "#5b4193", "linestyle": (0, (7, 2, 1, 2))},
)
"""Of the first run, of the second, ...: dark to light, and dashed in different ways."""

MARKERS = ("o", "s", "^", "D")
BASELINE: dict[str, Any] = {"color": "black", "linestyle": (0, (6, 3)), "linewidth": 0.9}
FLOOR: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.1}
UNTRAINED: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1.8}
"""Of the network as training begins."""

DOTS: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.6, "zorder": 3}
MAP = "cividis"
"""Colours whose lightness rises all the way."""

PANEL = 3.1
"""Inches that a panel needs beside others."""

SPACE = "\N{OPEN BOX}"
"""How a space is shown where it would not be seen."""


def panels(
    width: float, count: int, height: float = 2.6, least: float = PANEL, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Fields beside one another as far as the width allows, else below one another.

    Args:
        width: Of the picture, inches.
        count: Number of fields.
        height: Of each of them, inches.
        least: Width that each must have to stand beside others, inches.
        **options: ``sharex`` and ``sharey`` of :meth:`matplotlib.figure.Figure.subplots`.
    """
    columns = max(1, min(count, int(width // least)))
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    fields = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for field in fields[count:]:
        field.remove()
    for field in fields[:count]:
        field.tick_params(labelsize=8, labelbottom=True, labelleft=True)
        field.spines[["top", "right"]].set_visible(False)
    return figure, fields[:count]


def name_axes(field: Axes, x: str, y: str, title: str = "") -> None:
    """Write what the axes are, with their units, and what the field is.

    Args:
        field: The field.
        x: Name of the horizontal axis.
        y: Name of the vertical axis.
        title: Of the field.
    """
    field.set_xlabel(x, fontsize=9)
    field.set_ylabel(y, fontsize=9)
    if title:
        field.set_title(title, fontsize=9.5, loc="left", wrap=True, parse_math=False)


def legend(field: Axes, **options: Any) -> None:
    """Say which line is which, where it hides least; nothing where no line has a name."""
    if field.get_legend_handles_labels()[0]:
        field.legend(**{"fontsize": 8, "frameon": True, "framealpha": 0.85, "edgecolor": "none", **options})


def legend_below(figure: Figure, field: Axes, width: float) -> None:
    """Say below a picture which line is which.

    Args:
        figure: The picture.
        field: The one whose lines have names.
        width: Of the picture, inches.
    """
    handles, labels = field.get_legend_handles_labels()
    longest = max(map(len, labels), default=0)
    columns = max(1, int(width // (0.65 + 0.065 * longest)))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(columns, max(1, len(labels))),
        fontsize=8,
        frameon=False,
        handlelength=3.2,
    )


def level(field: Axes, value: float, name: str, style: dict[str, Any] | None = None) -> None:
    """A horizontal line that others are compared with.

    Args:
        field: The field.
        value: Its height.
        name: What it is, for the legend.
        style: ``BASELINE`` (also if None) or ``FLOOR``.
    """
    field.axhline(value, label=name, zorder=1, **(BASELINE if style is None else style))


def whole(field: Axes, which: str = "x") -> None:
    """Number an axis (``x`` or ``y``) by whole numbers."""
    axis = field.xaxis if which == "x" else field.yaxis
    axis.set_major_locator(MaxNLocator("auto", integer=True))


def decades(values: Sequence[Numbers]) -> float:
    """Powers of ten between the least and the greatest of the numbers above 0; 0 if there are none.

    Example:
        >>> decades([np.array([0.0, 0.1]), np.array([10.0])])
        2.0
    """
    there = np.concatenate([*values, np.empty(0)])
    there = there[(there > 0) & np.isfinite(there)]
    return float(np.log10(there.max() / there.min())) if len(there) else 0.0


def logarithmic(field: Axes, values: Sequence[Numbers]) -> None:
    """Give a field a logarithmic axis, with plain numbers where these are few.

    Args:
        field: The field.
        values: What is drawn in it, some arrays of numbers.
    """
    field.set_yscale("log")
    span = decades(values)
    if span < 0.3:  # hardly different from a linear axis
        field.yaxis.set_major_locator(MaxNLocator(5))
        field.yaxis.set_major_formatter("{x:g}")
    elif span < 4:
        subs = (1.0,) if span > 2 else (1.0, 2.0, 5.0) if span > 0.5 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
        field.yaxis.set_major_locator(LogLocator(subs=subs))
        field.yaxis.set_major_formatter("{x:g}")
    field.yaxis.set_minor_formatter(NullFormatter())


def heat_map(
    field: Axes,
    values: "np.typing.NDArray[Any]",
    low: float | None = None,
    high: float | None = None,
    extent: tuple[float, float, float, float] | None = None,
) -> AxesImage:
    """Values as colours, the first row below.

    Args:
        field: The field.
        values: ``(rows, columns)``.
        low: Value of the darkest colour; the least one if None.
        high: Value of the lightest.
        extent: Left, right, lower and upper end, in the units of the axes.
    """
    field.spines[["top", "right"]].set_visible(True)
    return field.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest", cmap=MAP, vmin=low, vmax=high, extent=extent
    )


def colour_bar(figure: Figure, image: AxesImage, fields: Sequence[Axes], label: str) -> None:
    """Say what colours mean.

    Args:
        figure: The picture.
        image: One of its heat maps.
        fields: Those that it holds for.
        label: The quantity, with its unit.
    """
    bar = figure.colorbar(image, ax=list(fields), pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=9)


def visible(symbols: Iterable[str]) -> list[str]:
    """Symbols as labels, with a space where it can be seen.

    Example:
        >>> visible("a b")
        ['a', '␣', 'b']
    """
    return [SPACE if symbol.isspace() else symbol for symbol in symbols]


def symbols_below(field: Axes, symbols: Sequence[str], width: float) -> None:
    """Write the symbols that are read below the steps, where there is room for them.

    Args:
        field: The field, with step i at i.
        symbols: One for each step; empty if the task does not show them.
        width: Of the field, inches.
    """
    if symbols and len(symbols) <= 12 * width:
        field.set_xticks(range(len(symbols)), visible(symbols), fontsize=7, parse_math=False)
        field.set_xlabel(f"symbol that is read, step by step ({SPACE}: space or blank)", fontsize=9)
    else:
        whole(field)
        field.set_xlabel("time step", fontsize=9)
