"""Imports in the package: from lower layers only, without cycles, and at the top of a file."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import rnn_tasks

PACKAGE = Path(rnn_tasks.__file__).parent
LAYERS = (
    {"commands", "api"},
    {"profile"},
    {"studies"},
    {"explorer", "export"},
    {"report"},
    {"cli"},
    {"callbacks"},
    {"plots"},
    {"models"},
    {"analysis"},
    {"runs"},
    {"networks"},
    {"tasks", "cores"},
    {"texts"},
    {"spec"},
    {"plugins"},
    {"errors", "printable"},
)
"""Subpackages and modules from the top layer to the bottom layer. A subpackage imports only from lower layers."""

WITHOUT_LAYER = {"__init__", "__main__", "manual_bptt"}
"""The package itself, its entry point, and the independent subpackage manual_bptt."""

IMPORT_IN_FUNCTIONS = {"commands", "cli", "api"}
"""Subpackages and modules whose functions may import modules of the package, so that commands and imports are quick."""

HEAVY = {"matplotlib", "scipy", "sklearn", "pandas"}
"""Packages that take a second to import and that training does not need."""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def subpackage_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(node: ast.AST, path: Path) -> Iterator[str]:
    """Yield the modules of the package that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in FILES and alias.name != "rnn_tasks")
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path}: imports are absolute"
        base = str(node.module)
        for alias in node.names:
            full = f"{base}.{alias.name}"
            if full in FILES or (base in FILES and base != "rnn_tasks"):
                yield full if full in FILES else base


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(module: str, top_level_only: bool = False) -> set[str]:
    """Return the modules of the package that a module imports."""
    path = FILES[module]
    tree = parse(path)
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    return {name for node in nodes for name in imported(node, path)}


def test_every_subpackage_has_a_layer() -> None:
    subpackages = {subpackage_of(module) for module in FILES} - WITHOUT_LAYER
    assert subpackages == set().union(*LAYERS)


def test_imports_use_only_lower_layers() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    upward = [
        f"{module} -> {other}"
        for module in FILES
        for other in imports_of(module)
        if subpackage_of(module) in layer
        and subpackage_of(other) != subpackage_of(module)
        and layer.get(subpackage_of(other), -1) <= layer[subpackage_of(module)]
    ]
    assert not upward


def test_manual_bptt_is_independent() -> None:
    users = {module for module in FILES if any(subpackage_of(other) == "manual_bptt" for other in imports_of(module))}
    assert {subpackage_of(module) for module in users} == {"manual_bptt"}
    used = {
        subpackage_of(other)
        for module in FILES
        if subpackage_of(module) == "manual_bptt"
        for other in imports_of(module)
    }
    assert used == {"manual_bptt", "texts", "errors"}


def test_modules_have_no_import_cycle() -> None:
    """Imports inside functions count too."""
    graph = {module: imports_of(module) - {module} for module in FILES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(FILES)


def test_only_commands_and_cli_import_inside_functions() -> None:
    wrong = [
        f"{module} -> {other}"
        for module in FILES
        if subpackage_of(module) not in IMPORT_IN_FUNCTIONS | {"__init__"}
        for other in imports_of(module) - imports_of(module, top_level_only=True)
    ]
    assert not wrong


def test_package_root_has_only_the_listed_files() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files <= {"__init__.py", "__main__.py", "api.py", "errors.py", "plugins.py", "printable.py", "py.typed"}


def test_training_does_not_import_plotting_packages() -> None:
    for module in FILES:
        if subpackage_of(module) in {
            "callbacks",
            "plots",
            "cli",
            "models",
            "networks",
            "runs",
            "tasks",
            "cores",
            "spec",
        }:
            body = parse(FILES[module]).body
            names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
            names |= {str(node.module) for node in body if isinstance(node, ast.ImportFrom)}
            assert not {name.split(".")[0] for name in names} & HEAVY, module


def test_importing_the_package_does_not_import_torch() -> None:
    """So ``rnn-tasks --version`` does not wait for torch."""
    program = "import sys, rnn_tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
