"""Arrows between the folders point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_tasks

PACKAGE = Path(rnn_tasks.__file__).parent


def imports(path: Path) -> set[str]:
    """All modules of the package that a file imports, wherever in it, by full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("rnn_tasks.")}


def imports_of_folder(folder: str) -> set[str]:
    """The folders and files of the package that the files of a folder import."""
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files, folder
    return {name.split(".")[1] for path in files for name in imports(path)}


ROOMS = (
    "commands",
    "studies",
    "report",
    "cli",
    "callbacks",
    "plots",
    "models",
    "analysis",
    "runs",
    "networks",
    "tasks",
    "cores",
    "texts",
    "spec",
    "errors",
)
"""From top to bottom: a room imports only from rooms below it. Tasks and cores do not know one another."""


def test_a_run_starts_without_what_only_pictures_need() -> None:
    """Modules that take a second to load are imported by the functions that use them."""
    heavy = {"matplotlib", "scipy", "sklearn"}
    for path in (PACKAGE / "callbacks").rglob("*.py"):
        statements = ast.parse(path.read_text(encoding="utf-8")).body
        loaded = {alias.name for node in statements if isinstance(node, ast.Import) for alias in node.names}
        loaded |= {str(node.module) for node in statements if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in loaded} & heavy, path


def test_the_package_itself_is_light() -> None:
    """The version can be asked for without waiting for torch."""
    program = "import sys, rnn_tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
