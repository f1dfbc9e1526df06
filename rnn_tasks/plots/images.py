"""Convert pictures to SVG and PNG files in memory."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rnn_tasks.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160

# ``savefig`` is not used: it draws a picture twice, the first time only to compute its layout.


def make_texts_safe(figure: "Figure") -> None:
    """Show every text of a picture as it is: escape characters that SVG forbids, and read no formulas between ``$``.

    Numbers at the ticks are left alone.

    Args:
        figure: The picture; a second call changes nothing.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter

    numbers: set[Text] = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            labels = {*axis.get_ticklabels(which="both"), axis.get_offset_text()}
            formatter = axis.get_major_formatter()
            if isinstance(
                formatter, FuncFormatter
            ):  # of ``set_xticks`` with texts, which it sets again at each drawing
                formatter.func = partial(printable_label, formatter.func)
                labels -= {*axis.get_ticklabels()}
            numbers |= labels
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
            text.set_text(printable(text.get_text(), keep="\n"))


def printable_label(label_at: Callable[..., str], value: float, position: int | None = None) -> str:
    """Return the label of a tick, with escapes in place of characters that cannot be printed."""
    return printable(str(label_at(value, position)))


@contextmanager
def any_script() -> Iterator[None]:
    """Hide the warnings about characters that the font does not have; a box is drawn instead."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def as_svg(figure: "Figure") -> bytes:
    """Return a picture as SVG: equal pictures give equal bytes. Its layout is computed here and then frozen.

    Args:
        figure: The picture.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    make_texts_safe(figure)
    with any_script(), rc_context({"svg.hashsalt": "rnn_tasks", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    figure.set_layout_engine("none")
    return buffer.getvalue()


def as_png(figure: "Figure") -> bytes:
    """Return a picture as PNG, with 160 dots per inch.

    Args:
        figure: The picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    figure.set_dpi(DOTS_PER_INCH)
    make_texts_safe(figure)
    with any_script():
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()
