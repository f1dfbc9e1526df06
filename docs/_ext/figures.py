"""Show a figure that is the last expression of a block of a tutorial, as a notebook does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

LAST = "___"
"""The name under which sphinx-gallery keeps the last expression of a block."""


def save_last_figure(block: Any, block_vars: Mapping[str, Any], gallery_conf: Mapping[str, Any]) -> str:
    """Save the figure, also with twice the resolution, and return the reST that shows it.

    Args:
        block: The block.
        block_vars: The variables of the block.
        gallery_conf: The settings of sphinx-gallery.
    """
    figure = block_vars["example_globals"].get(LAST)
    if not isinstance(figure, Figure):
        return ""
    block_vars["example_globals"][LAST] = None  # the text of the figure is not shown, nor the figure below later blocks
    path = Path(next(block_vars["image_path_iterator"]))
    large = path.with_name(f"{path.stem}_2_00x{path.suffix}")
    for file, dots_per_inch in ((path, 100), (large, 200)):
        figure.savefig(file, dpi=dots_per_inch)
    rst: str = figure_rst([path], gallery_conf["src_dir"], srcsetpaths=[{0: path, 2.0: large}])
    return rst
