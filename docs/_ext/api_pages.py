"""The pages of the Python API: one for each subpackage or module."""

import importlib
import pkgutil
from collections.abc import Iterator

PACKAGES = {
    "From Python": "api tasks cores models networks callbacks analysis spec manual_bptt errors",
    "Run folders, texts, pictures": "runs texts plots",
}
"""Subpackages and modules of the package, by heading of the page that lists them; all others come last."""

OTHERS = "What commands are made of"


def modules(name: str) -> Iterator[str]:
    """Yield the public modules of a package, or the module itself."""
    package = importlib.import_module(name)
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        if not module.name.startswith("_"):
            yield f"{name}.{module.name}"


def module_page(name: str) -> str:
    """Return the page of a package or module: each public name once, in the module that defines it.

    Args:
        name: The path, such as ``rnn_tasks.cores``.
    """
    package = importlib.import_module(name)
    inner = list(modules(name))
    parts = [name, "=" * len(name), "", f".. automodule:: {name}", ""]
    exported = getattr(package, "__all__", []) if inner else []
    if not exported:
        parts.insert(-1, "   :members:")
    if exported:
        names = ", ".join(f":py:obj:`~{name}.{each}`" for each in exported)
        parts += [f"Import these names from ``{name}``: {names}.", ""]
    for module in inner:
        parts += [
            module,
            "-" * len(module),
            "",
            f".. automodule:: {module}",
            "   :members:",
            "   :show-inheritance:",
            "",
        ]
    return "\n".join(parts)


def overview_page(packages: dict[str, list[str]]) -> str:
    """Return the page that lists the packages and modules.

    Args:
        packages: The names of packages and modules, without ``rnn_tasks``, by heading.
    """
    parts = ["# Python API\n", "Each public name is documented once, in the module that defines it.\n"]
    for heading, names in packages.items():
        parts += [f"## {heading}\n", "| module | content |", "|---|---|"]
        for name in names:
            line = str(importlib.import_module(f"rnn_tasks.{name}").__doc__).splitlines()[0].replace("``", "`")
            parts.append(f"| [rnn_tasks.{name}]({name}.rst) | {line} |")
        parts += ["", "```{toctree}", ":hidden:\n", *names, "```\n"]
    return "\n".join(parts)


def api_pages() -> dict[str, str]:
    """Return the pages of the API by file name."""
    packages = {heading: names.split() for heading, names in PACKAGES.items()}
    found = [name.removeprefix("rnn_tasks.") for name in modules("rnn_tasks")]
    packages[OTHERS] = sorted(set(found) - {name for names in packages.values() for name in names})
    return {"index.md": overview_page(packages), **{f"{name}.rst": module_page(f"rnn_tasks.{name}") for name in found}}
