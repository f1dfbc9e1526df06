"""Style of pictures: sizes, line styles that differ also in black and white, labels of axes, colour maps."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rnn_tasks.spec.vocabulary import SPACE, visible

if TYPE_CHECKING:  # importing matplotlib takes a second, so runs start without it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Numbers = NDArray[np.float64]

WIDE, NARROW = 7.6, 3.7
"""Widths of pictures in inches: for desktops, print and TensorBoard; and for phones."""

LINES: tuple[dict[str, Any], ...] = (
    {"color": "#12476b", "linestyle": "-"},
    {"color": "#c0501f", "linestyle": (0, (5, 2))},
    {"color": "#5fae78", "linestyle": (0, (1, 1.3))},
    {"color": "#5b4193", "linestyle": (0, (7, 2, 1, 2))},
)
"""Line styles of the first run, the second run, ...: of different lightness and different dashes."""

MARKERS = ("o", "s", "^", "D")
BASELINE: dict[str, Any] = {"color": "black", "linestyle": (0, (6, 3)), "linewidth": 0.9}
FLOOR: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.1}
PLATEAUS: tuple[dict[str, Any], ...] = (
    {"color": "0.4", "linestyle": (0, (8, 2, 1, 2)), "linewidth": 1.0},
    {"color": "0.4", "linestyle": (0, (3, 2)), "linewidth": 1.0},
    {"color": "0.4", "linestyle": (0, (8, 2, 1, 2, 1, 2)), "linewidth": 1.0},
    {"color": "0.4", "linestyle": (0, (1, 3)), "linewidth": 1.3},
)
"""Line styles of the scores of partial solutions; further ones begin again with the first style."""

UNTRAINED: dict[str, Any] = {"color": "0.35", "linestyle": ":", "linewidth": 1.8}
"""Line style of the untrained network."""

DOTS: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.6, "zorder": 3}
MAP = "cividis"
"""Colour map of heat maps, with monotonically increasing lightness."""

LABEL = 40
"""Longer labels in a legend are broken into several lines."""

PANEL = 3.1
"""Smallest width of a panel in inches."""


def panels(
    width: float, count: int, height: float = 2.6, min_width: float = PANEL, **options: Any
) -> "tuple[Figure, list[Axes]]":
    """Create panels in a grid with as many columns as fit into the width.

    Args:
        width: The width of the picture in inches.
        count: The number of panels.
        height: The height of each panel in inches.
        min_width: The smallest width of a panel in inches, if there are several columns.
        **options: ``sharex`` and ``sharey`` of :meth:`matplotlib.figure.Figure.subplots`.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(count, int(width // min_width)))
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for ax in axes[count:]:
        ax.remove()
    for ax in axes[:count]:
        ax.tick_params(labelsize=8, labelbottom=True, labelleft=True)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[:count]


def name_axes(ax: "Axes", x: str, y: str, title: str = "") -> None:
    """Set the labels of the axes and the title of a panel.

    Args:
        ax: The panel.
        x: The label of the horizontal axis, with its unit.
        y: The label of the vertical axis, with its unit.
        title: The title of the panel; empty for none.
    """
    ax.set_xlabel(x, fontsize=9)
    ax.set_ylabel(y, fontsize=9)
    if title:
        ax.set_title(title, fontsize=9.5, loc="left", wrap=True, parse_math=False)


def legend(ax: "Axes", **options: Any) -> None:
    """Add a legend inside a panel, unless no line has a label."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**{"fontsize": 8, "frameon": True, "framealpha": 0.85, "edgecolor": "none", **options})


def legend_below(figure: "Figure", ax: "Axes", width: float) -> None:
    """Add a legend below a picture.

    Args:
        figure: The picture.
        ax: The panel whose labelled lines are listed.
        width: The width of the picture in inches.
    """
    handles, labels = ax.get_legend_handles_labels()
    labels = ["\n".join(textwrap.wrap(label, LABEL)) for label in labels]
    longest = max((len(line) for label in labels for line in label.splitlines()), default=0)
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


def level(ax: "Axes", value: float, name: str, style: dict[str, Any] | None = None) -> None:
    """Draw a horizontal reference line.

    Args:
        ax: The panel.
        value: The height of the line.
        name: The label in the legend; empty for none.
        style: ``BASELINE`` or ``FLOOR``; ``BASELINE`` if None.
    """
    ax.axhline(value, label=name, zorder=1, **(BASELINE if style is None else style))


def integer_ticks(ax: "Axes", which: str = "x") -> None:
    """Place the ticks of an axis (``x`` or ``y``) at integers."""
    from matplotlib.ticker import MaxNLocator

    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(MaxNLocator("auto", integer=True))


def decades(values: Sequence[Numbers]) -> float:
    """Return the powers of ten between the smallest and the largest positive number; 0 if no number is positive.

    Example:
        >>> decades([np.array([0.0, 0.1]), np.array([10.0])])
        2.0
    """
    numbers = np.concatenate([*values, np.empty(0)])
    positive = numbers[(numbers > 0) & np.isfinite(numbers)]
    return float(np.log10(positive.max() / positive.min())) if len(positive) else 0.0


def logarithmic(ax: "Axes", values: Sequence[Numbers]) -> None:
    """Make the vertical axis logarithmic, with plain numbers at the ticks if the values span few powers of ten.

    Args:
        ax: The panel.
        values: Arrays of the drawn numbers.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    ax.set_yscale("log")
    span = decades(values)
    if span < 0.3:  # nearly a linear axis
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.yaxis.set_major_formatter("{x:g}")
    elif span < 4:
        subs = (1.0,) if span > 2 else (1.0, 2.0, 5.0) if span > 0.5 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
        ax.yaxis.set_major_locator(LogLocator(subs=subs))
        ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def heat_map(
    ax: "Axes",
    values: "np.typing.NDArray[Any]",
    low: float | None = None,
    high: float | None = None,
    extent: tuple[float, float, float, float] | None = None,
) -> "AxesImage":
    """Draw a heat map, the first row at the bottom.

    Args:
        ax: The panel.
        values: The values, ``(rows, columns)``.
        low: The value of the darkest colour; the smallest value if None.
        high: The value of the lightest colour; the largest value if None.
        extent: The left, right, lower and upper end in the units of the axes.
    """
    ax.spines[["top", "right"]].set_visible(True)
    return ax.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest", cmap=MAP, vmin=low, vmax=high, extent=extent
    )


def colour_bar(figure: "Figure", image: "AxesImage", axes: "Sequence[Axes]", label: str, **options: Any) -> None:
    """Add a colour bar.

    Args:
        figure: The picture.
        image: One of the heat maps of the picture.
        axes: The panels with the same colours.
        label: The quantity, with its unit.
        **options: Options of :meth:`matplotlib.figure.Figure.colorbar`, such as ``location``.
    """
    bar = figure.colorbar(image, ax=list(axes), **{"pad": 0.02, **options})
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=9)


def symbols_below(ax: "Axes", symbols: Sequence[str], width: float) -> None:
    """Label the time steps with the input symbols if they fit, else with numbers.

    Args:
        ax: The panel, with step i at i.
        symbols: The symbol of each step; empty if the task has no printed form of its symbols.
        width: The width of the panel in inches.
    """
    if symbols and len(symbols) <= 12 * width:
        ax.set_xticks(range(len(symbols)), [visible(symbol) for symbol in symbols], fontsize=7, parse_math=False)
        ax.set_xlabel(f"input symbol at each time step ({SPACE}: space or blank)", fontsize=9)
    else:
        integer_ticks(ax)
        ax.set_xlabel("time step", fontsize=9)
