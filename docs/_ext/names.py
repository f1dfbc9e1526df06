"""Names in docstrings, looked up as Python does: in the class, in the module of the docstring, then by their path.

So ``:class:`Core``` in a module that imports ``Core`` leads to the definition of ``Core``, as does
``:class:`rnn_tasks.cores.Core```, which is the name by which the package exports it.
"""

import importlib
from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

PACKAGE = "rnn_tasks"


def find(path: str) -> Any:
    """Return the object at a dotted path; None if there is none."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found
    return None


def definition(path: str, documented: Iterable[str]) -> str | None:
    """Return the name under which the reference documents the object at a dotted path; None if it does not.

    Args:
        path: A path by which Python finds the object.
        documented: All names that the reference documents.
    """
    found = find(path)
    name = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if found is None or name in documented:
        return name if found is not None else None
    package, _, last = path.rpartition(".")  # constants do not know where they are defined
    same = [each for each in documented if each.startswith(f"{package}.") and each.endswith(f".{last}")]
    return same[0] if len(same) == 1 else None


def resolve(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Return the link of a name of the package that Sphinx does not find by itself; None if it is another's."""
    if node.get("refdomain") != "py":
        return None
    target, domain = node["reftarget"], environment.domains.python_domain
    module, inside = node.get("py:module") or "", node.get("py:class") or ""
    for path in (f"{module}.{inside}.{target}", f"{module}.{target}", target):
        name = definition(path, domain.objects) if path.startswith(PACKAGE) else None
        if name and name != target:
            return domain.resolve_xref(environment, node["refdoc"], app.builder, "obj", name, node, content)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
