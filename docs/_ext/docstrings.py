"""Docstrings in Google's style, as reStructuredText.

``sphinx.ext.napoleon`` does the same, but takes the first sentence of a constant's docstring, up to a colon, for its
type.
"""

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

STYLE: Any = Config(  # Any: the hints of Sphinx know only the settings of a whole site
    napoleon_use_ivar=True,  # attributes as a list, since autodoc documents those with docstrings by itself
    napoleon_use_rtype=False,  # what is before a colon is a shape; autodoc adds the type
)


def convert(app: Sphinx, what: Any, name: str, documented: Any, options: Any, lines: list[str]) -> None:
    """Convert the docstring of a module, class or function in place."""
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, STYLE, app, what, name, documented, options).lines()


def skip_private_bases(app: Sphinx, name: str, documented: Any, options: Any, bases: list[Any]) -> None:
    """Show the bases of a base class that is in a private module, such as ``callbacks._monitor``, in its place."""
    for base in list(bases):
        if isinstance(base, type) and base.__module__.startswith("rnn_tasks.") and "._" in base.__module__:
            position = bases.index(base)
            bases[position : position + 1] = [outer for outer in base.__bases__ if outer not in bases]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", convert)
    app.connect("autodoc-process-bases", skip_private_bases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
