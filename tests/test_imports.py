"""Arrows between the folders point one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnn_tasks

PACKAGE = Path(rnn_tasks.__file__).parent
DOORS = {"cli.py", "respond.py", "resume.py", "parsing.py", "__main__.py"}


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


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("tasks", {"cores", "models", "callbacks", "report"}),
        ("cores", {"tasks", "models", "callbacks", "report"}),
        ("models", {"tasks", "callbacks", "report"}),
        ("analysis", {"tasks", "callbacks", "report"}),
        ("callbacks", {"tasks", "models", "report"}),
        ("report", {"callbacks", "studies"}),
        ("studies", {"callbacks", "cores", "tasks"}),
        ("texts", {"tasks", "cores", "models", "callbacks", "spec", "runs"}),
        ("manual_bptt", {"tasks", "cores", "models", "callbacks", "spec", "runs"}),
    ],
)
def test_a_folder_does_not_know_the_folders_above_and_beside_it(folder: str, others: set[str]) -> None:
    assert not imports_of_folder(folder) & others


def test_models_know_cores() -> None:
    """So the test above looks at something."""
    assert "cores" in imports_of_folder("models")


def test_only_the_doors_know_the_command_line() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): imports(path) for path in PACKAGE.rglob("*.py")}
    knowing = {name for name, modules in files.items() if any(m.split(".")[1] == "cli" for m in modules)}
    assert knowing <= DOORS
    assert knowing  # somebody opens the door


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
