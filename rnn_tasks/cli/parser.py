"""The command-line parser: configs by name, and error messages of one line."""

import argparse
import difflib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import yaml
from docstring_parser import DocstringStyle
from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings  # type: ignore[attr-defined]
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from rnn_tasks.cli.shipped import CONFIGS, shipped, shipped_names
from rnn_tasks.errors import brief
from rnn_tasks.runs.files import CHECKPOINTS, CONFIG
from rnn_tasks.runs.find import read_config, read_stored_config
from rnn_tasks.runs.old_names import LAYOUTS, OPTIONS, current_config_name
from rnn_tasks.spec import TaskSpec

# The parser treats a TaskSpec as one value, not as a group of options: it is linked from the task to the model.
# Naming the docstring style saves 7 % of the parsing time: otherwise every style is tried on every class.
set_parsing_settings(subclasses_enabled=[TaskSpec], docstring_parse_style=DocstringStyle.GOOGLE)


def exported() -> dict[str, Any]:
    """Return the public objects of all imported modules of the package by name: layers, tasks, models and callbacks."""
    modules = [module for name, module in sys.modules.copy().items() if name.startswith("rnn_tasks.")]
    return {name: getattr(module, name) for module in modules for name in getattr(module, "__all__", ())}


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    """Return the options of a parser and of its subcommands, without dashes."""
    names: set[str] = set()
    for action in parser._actions:
        if isinstance(action.choices, dict):
            names = names.union(*(option_names(below) for below in action.choices.values()))
        else:
            names.add(action.dest)
    return names


def hint(message: str, options: Iterable[str]) -> str:
    """Return a suggestion for the misspelt name in an error message; an empty string if there is none.

    Args:
        message: A result of :func:`brief`.
        options: The names of the parser's options.

    Example:
        >>> hint("Subcommand 'fit' does not accept option 'trainer.max_step'", ["trainer.max_steps"])
        "; did you mean 'trainer.max_steps'?"
    """
    renamed = OPTIONS
    if match := re.search(r"unknown option '(\w+)'", message):
        classes = [value for value in exported().values() if inspect.isclass(value)]
        candidates = {name for value in classes for name in inspect.signature(value).parameters}
    elif match := re.search(r"no such class: ([\w.]+)", message):
        candidates = set(exported())
    elif match := re.search(r"must be one of '.*', got (\w+)$", message):
        candidates = set(re.findall(r"'(\w+)'", message.partition("must be one of")[2]))
        renamed = LAYOUTS
    elif match := re.search(r"invalid choice: '(\w+)'", message):
        candidates = set(re.findall(r"'(\w+)'", message.partition("choose from")[2]))
    elif match := re.search(r"(?:option '|unrecognized arguments: --)([\w.]+)", message):
        candidates = set(options)
    elif (match := re.search(r"unrecognized arguments: ([\w/]+)$", message)) and match[1] in shipped_names():
        return f"; did you mean '--config {match[1]}'?"
    else:
        return ""
    name = match[1]
    if name in renamed:
        return f"; it was renamed to {renamed[name]!r}"
    similar = difflib.get_close_matches(name, candidates, n=1)
    return f"; did you mean {similar[0]!r}?" if similar else ""


class Parser(LightningArgumentParser):
    """A parser that reports an error in one line, and whose help also lists the commands that are not the trainer's."""

    commands: Mapping[str, str] = MappingProxyType({})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print an error in one line and exit with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        text = brief(message)
        if "but it was not provided" in text:
            text = f"name a command, one of {', '.join([*self.commands, *LightningCLI.subcommands()])}"
        elif "class_path 'rnn_tasks.models.RecurrentModel'" in message:  # the base class: no config has named a model
            text += "; name a task before an overlay, for instance --config echo --config models/gru"
        elif re.search(r"arguments are required: \w+\.", text):
            text = re.sub(r" \w+\.", " --", text) + "; name a task, for instance --config echo"
        else:
            text += hint(text, option_names(self))
        self.exit(2, f"{self.prog.split(' ')[0]}: error: {text}\n")

    def add_subcommands(self, required: bool = True, dest: str = "subcommand", **kwargs: Any) -> Any:
        """Add the subcommands; list also those that :func:`rnn_tasks.commands.main` runs without this parser."""
        action = super().add_subcommands(required, dest, **kwargs)
        for name, summary in self.commands.items():
            action.add_subcommand(name, ArgumentParser(), help=summary)
        return action


class ConfigByName(ActionConfigFile):
    """An option for configs: ``--config echo`` is the shipped ``configs/echo.yaml``; other values are paths.

    After an overlay, such as ``--config echo --config models/gru``, the overlay's file for the task,
    ``configs/models/gru/echo.yaml``, is read too if it exists. Otherwise, if the recipe's model is a LanguageModel,
    ``configs/models/gru/language_model.yaml`` is read.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Read the file, and after an overlay its file for the last recipe for which it has one."""
        read: Callable[..., None] = super().__call__
        path = shipped(str(values)) or Path(str(values))
        if not path.is_file():
            parser.error(f"no config {values}{config_hint(str(values))}")
        recipes = [Path(str(config)) for config in namespace.get("config") or [] if config]
        if problem := yaml_problem(path):
            parser.error(f"{path} is not valid YAML: {problem}")
        read(parser, namespace, config_of_old_run(path) or str(path), option_string)
        files = [file for recipe in recipes if (file := task_file(path, recipe)) is not None]
        for file in files[-1:]:
            read(parser, namespace, str(file), option_string)


def config_hint(name: str) -> str:
    """Return what to give instead of a config that does not exist.

    Example:
        >>> config_hint("ecko"), config_hint("seeds/copy_rnn")
        ("; did you mean 'echo'?", '; it was renamed to published/copy_rnn')
    """
    if current := current_config_name(name):
        return f"; it was renamed to {current}"
    similar = difflib.get_close_matches(name, shipped_names(), n=1)
    if similar:
        return f"; did you mean {similar[0]!r}?"
    return f": give the path of a YAML file, or one of {', '.join(shipped_names())}"


def yaml_problem(path: Path) -> str | None:
    """Return why a file is not valid YAML, and where; None if it is."""
    try:
        yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        return f"line {error.problem_mark.line + 1}: {error.problem}" if error.problem_mark else str(error.problem)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return str(error)
    return None


def config_of_old_run(path: Path) -> str | None:
    """Return the YAML of a run of an earlier version, with current names; None for any other config.

    Args:
        path: The path of a config.
    """
    if path.name != CONFIG or not (path.parent / CHECKPOINTS).is_dir():
        return None
    stored, current = read_stored_config(path.parent), read_config(path.parent)
    return None if current == stored else yaml.safe_dump(current)


def task_file(overlay: Path, recipe: Path) -> Path | None:
    """Return the file that an overlay has for the task of a recipe; None if it has none.

    Args:
        overlay: The overlay, such as ``configs/models/gru.yaml``; any other config has no such files.
        recipe: The recipe.
    """
    if overlay.resolve().parent != (CONFIGS / "models").resolve():
        return None
    names = [recipe.stem]
    published = recipe.resolve().parent == (CONFIGS / "published").resolve()  # keeps its own rates
    if not published and model_of(recipe) == "LanguageModel":
        names.append("language_model")
    files = [overlay.with_suffix("") / f"{name}.yaml" for name in names]
    return next((file for file in files if file.is_file()), None)


def model_of(config: Path) -> str:
    """Return the class name of the model of a config, without its module; empty if the config has no model."""
    contents = yaml.safe_load(config.read_text(encoding="utf-8"))
    model = contents.get("model") if isinstance(contents, dict) else None
    return str(model.get("class_path", "")).rpartition(".")[2] if isinstance(model, dict) else ""
