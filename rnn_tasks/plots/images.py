"""Convert pictures to SVG and PNG files in memory."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 160

# ``savefig`` is not used: it draws a picture twice, the first time only to compute its layout.


def as_svg(figure: "Figure") -> bytes:
    """Return a picture as SVG: equal pictures give equal bytes. Its layout is computed here and then frozen.

    Args:
        figure: The picture.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "rnn_tasks", "svg.fonttype": "path"}):
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
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()
