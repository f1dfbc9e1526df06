"""Imports of the package point down: from a room only to rooms below it, without cycles, at the top of a file."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import rnn_tasks

PACKAGE = Path(rnn_tasks.__file__).parent
FLOORS = (
    {"commands"},
    {"studies"},
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
    {"errors"},
)
"""From top to bottom. A room imports only from the floors below it."""

ON_NO_FLOOR = {"__init__", "__main__", "manual_bptt"}
"""The package itself and its entry point; a page of equations that stands apart."""

LATE = {"commands", "cli"}
"""Rooms whose functions may import modules of the package, so that a command starts soon."""

HEAVY = {"matplotlib", "scipy", "sklearn", "pandas"}
"""Take a second to import, and no training needs them."""


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(node: ast.AST, path: Path) -> Iterator[str]:
    """The modules of the package that one statement imports."""
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
def arrows(module: str, top_level_only: bool = False) -> set[str]:
    """The modules of the package that a module imports."""
    path = FILES[module]
    tree = parse(path)
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    return {name for node in nodes for name in imported(node, path)}


def test_every_room_is_on_a_floor() -> None:
    rooms = {room_of(module) for module in FILES} - ON_NO_FLOOR
    assert rooms == set().union(*FLOORS)


def test_imports_point_down() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{module} -> {other}"
        for module in FILES
        for other in arrows(module)
        if room_of(module) in floor
        and room_of(other) != room_of(module)
        and floor.get(room_of(other), -1) <= floor[room_of(module)]
    ]
    assert not upward


def test_manual_bptt_stands_apart() -> None:
    knowing = {module for module in FILES if any(room_of(other) == "manual_bptt" for other in arrows(module))}
    assert {room_of(module) for module in knowing} == {"manual_bptt"}
    known = {room_of(other) for module in FILES if room_of(module) == "manual_bptt" for other in arrows(module)}
    assert known == {"manual_bptt", "texts", "errors"}


def test_modules_have_no_import_cycle() -> None:
    """Also by way of imports inside functions."""
    graph = {module: arrows(module) - {module} for module in FILES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(FILES)


def test_functions_import_own_modules_in_commands_only() -> None:
    late = [
        f"{module} -> {other}"
        for module in FILES
        if room_of(module) not in LATE | {"__init__"}
        for other in arrows(module) - arrows(module, top_level_only=True)
    ]
    assert not late


def test_the_root_holds_only_its_few_files() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files <= {"__init__.py", "__main__.py", "api.py", "errors.py", "py.typed"}


def test_training_starts_without_what_pictures_need() -> None:
    for module in FILES:
        if room_of(module) in {"callbacks", "plots", "cli", "models", "networks", "runs", "tasks", "cores", "spec"}:
            body = parse(FILES[module]).body
            names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
            names |= {str(node.module) for node in body if isinstance(node, ast.ImportFrom)}
            assert not {name.split(".")[0] for name in names} & HEAVY, module


def test_the_package_itself_is_light() -> None:
    """The version can be asked for without waiting for torch."""
    program = "import sys, rnn_tasks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
