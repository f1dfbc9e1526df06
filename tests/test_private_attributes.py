"""The table of private attributes of other libraries that the package uses, and tests that it is complete."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from torch.utils.tensorboard import SummaryWriter

import rnn_tasks
from rnn_tasks.cli.parser import Parser

PACKAGE = Path(rnn_tasks.__file__).parent


class Use(NamedTuple):
    """A private attribute of another library.

    Attributes:
        file: The file that uses the attribute.
        owner: Function that returns the object with the attribute.
        reason: Why the public interface is not enough.
    """

    file: str
    owner: Callable[[], object]
    reason: str


def a_trainer() -> Trainer:
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


TABLE = {
    "_parse_ckpt_path": Use(
        "cli/trainer.py", lambda: LightningCLI, "overridden: a checkpoint must not change the config or name classes"
    ),
    "_run_subcommand": Use(
        "cli/trainer.py", lambda: LightningCLI, "overridden: a trained run is only tested; SIGTERM is not a success"
    ),
    "_actions": Use(
        "cli/parser.py", lambda: Parser(), "the names of the options, to suggest one for a misspelt option"
    ),
    "_should_check_val_fx": Use(
        "callbacks/checkpoints.py",
        lambda: a_trainer().fit_loop.epoch_loop,
        "tells whether a validation follows a step, before which no state can be saved that resumes exactly",
    ),
    "_data_fetcher": Use("callbacks/checkpoints.py", lambda: a_trainer().fit_loop, "the argument of the method above"),
    "_get_file_writer": Use(
        "runs/logger.py", lambda: SummaryWriter, "writes all scalars of a step as one event, thirty times as fast"
    ),
    "_C": Use("cores/scan.py", lambda: torch, "contains the next attribute"),
    "_are_functorch_transforms_active": Use(
        "cores/scan.py",
        lambda: torch._C,
        "tells whether a transform of torch.func is active, which must see every step",
    ),
}

DOCUMENTED = {"_replace", "_asdict", "_fields", "_exit"}
"""Public in spite of their names: methods of named tuples, and os._exit."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_" and name not in DOCUMENTED


def private_names(path: Path) -> tuple[set[str], set[str]]:
    """Return the private names that a file uses, and the private names that it defines."""
    used: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            (used if isinstance(node.ctx, ast.Load) else defined).add(node.attr)
        elif isinstance(node, ast.ImportFrom) and not str(node.module).startswith("rnn_tasks"):
            used |= {*str(node.module).split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            defined.add(node.name)
    return set(filter(is_private, used)), set(filter(is_private, defined))


def classes() -> Iterator[type]:
    """Yield all classes of the package with a base class of another library."""
    for module in pkgutil.walk_packages(rnn_tasks.__path__, "rnn_tasks."):
        if not module.name.endswith("__main__"):
            for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if kind.__module__ == module.name and any(is_foreign(base) for base in kind.__mro__):
                    yield kind


def is_foreign(base: type) -> bool:
    return base.__module__.split(".")[0] not in ("rnn_tasks", "builtins", "abc", "typing", "enum", "collections")


def overridden(kind: type) -> set[str]:
    """Return the private attributes of a foreign base class that a class defines or sets itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    foreign = [base for base in kind.__mro__[1:] if is_foreign(base)]

    def has(base: Any, name: str) -> bool:
        return name in vars(base) or f"self.{name} " in inspect.getsource(base)

    return {name for name in filter(is_private, own) if any(has(base, name) for base in foreign)}


def test_table_lists_every_private_attribute() -> None:
    files = {path.relative_to(PACKAGE).as_posix(): private_names(path) for path in PACKAGE.rglob("*.py")}
    defined = set().union(*(own for _, own in files.values())) - TABLE.keys()
    uses = {(file, name) for file, (used, _) in files.items() for name in used - defined}
    for kind in classes():
        file = Path(inspect.getfile(kind)).relative_to(PACKAGE).as_posix()
        uses |= {(file, name) for name in overridden(kind)}
    assert uses == {(use.file, name) for name, use in TABLE.items()}


def test_private_attributes_of_the_table_exist() -> None:
    missing = [name for name, use in TABLE.items() if not hasattr(use.owner(), name)]
    assert not missing
