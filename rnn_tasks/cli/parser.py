"""The command-line parser: configs by name, and errors of one line."""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import lightning.pytorch.callbacks
import lightning.pytorch.loggers
import torch
import yaml
from docstring_parser import DocstringStyle
from jsonargparse import (  # type: ignore[attr-defined]
    ActionConfigFile,
    ArgumentParser,
    get_loader,
    set_loader,
    set_parsing_settings,
)
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from rnn_tasks.cli.checks import (
    CLASS_KEYS,
    check_empty_sections,
    check_nulls,
    check_sections,
    check_seed,
    locate,
    suggestion,
)
from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.overlays import drop_replaced_arguments, is_published, task_file
from rnn_tasks.cli.plugin_classes import arguments_with_full_names, plugin_class_names, with_full_names
from rnn_tasks.cli.shipped import shipped, shipped_names
from rnn_tasks.errors import UsageError, brief
from rnn_tasks.runs.files import CHECKPOINTS, CONFIG
from rnn_tasks.runs.find import read_config, read_stored_config
from rnn_tasks.runs.old_names import LAYOUTS, OPTIONS, current_config_name
from rnn_tasks.spec import TaskSpec

# The parser treats a TaskSpec as one value, not as a group of options: it is linked from the task to the model.
# Naming the docstring style saves 7 % of the parsing time: otherwise every style is tried on every class.
set_parsing_settings(subclasses_enabled=[TaskSpec], docstring_parse_style=DocstringStyle.GOOGLE)

LOAD_YAML: Callable[[str], Any] = get_loader("yaml")
# If a plug-in has a class of the same name as ours, the name means ours.
set_loader("yaml", lambda text: with_full_names(LOAD_YAML(text)), (yaml.YAMLError,))


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


def hint(text: str, options: Iterable[str], message: str = "") -> str:
    """Return a suggestion for the misspelt name in an error message; an empty string if there is none.

    Args:
        text: A result of :func:`brief`.
        options: The names of the parser's options.
        message: The message of the parser that ``text`` abbreviates.

    Example:
        >>> hint("Subcommand 'fit' does not accept option 'trainer.max_step'", ["trainer.max_steps"])
        "; did you mean 'trainer.max_steps'?"
    """
    renamed = OPTIONS
    if match := re.search(r"(\S+\.core)\.core: unknown option '(hidden_size)'", text):
        return f"; it is set by {match[1]}.{match[2]}"
    if match := re.search(r"unknown option '([\w+]+)'", text):
        parameters = parameters_of_rejecting_class(message)
        candidates = [*parameters, *CLASS_KEYS]
        if match[1] not in renamed and not suggestion(match[1], candidates) and parameters:
            return f"; the options are {', '.join(parameters)}"
    elif match := re.search(r"no such class: ([\w.]+)", text):
        candidates = [*exported(), *FOREIGN, *plugin_class_names()]
    elif match := re.search(r"must be one of '.*, got (\w+)$", text):
        candidates = re.findall(r"'(\w+)'", text.partition("must be one of")[2])
        renamed = LAYOUTS
    elif match := re.search(r"invalid choice: '(\w+)'", text):
        candidates = re.findall(r"'(\w+)'", text.partition("choose from")[2])
    elif match := re.search(r"(?:option '|unrecognized arguments: --)([\w.]+)", text):
        candidates = list(options)
    elif re.search(r"No module named '[\w.]+'$", text):
        return "; install the package that has it, for instance the plug-in"
    elif (match := re.search(r"unrecognized arguments: ([\w/]+)$", text)) and match[1] in shipped_names():
        return f"; did you mean '--config {match[1]}'?"
    else:
        return ""
    name = match[1]
    return f"; it was renamed to {renamed[name]!r}" if name in renamed else suggestion(name, candidates)


FOREIGN = [
    *(name for name, value in vars(torch.optim).items() if inspect.isclass(value)),
    *lightning.pytorch.callbacks.__all__,
    *lightning.pytorch.loggers.__all__,
]
"""Names of classes of torch and Lightning that a config can name without their path."""


def parameters_of_rejecting_class(message: str) -> list[str]:
    """Return the names of the parameters of the class that does not accept an option, according to the parser.

    Args:
        message: The message of the parser.
    """
    rejected = re.search(r"Option '\S+' is not accepted(?:\. Got value: Namespace\(.*?class_path='([\w.]+)')?", message)
    if rejected is None:
        return []
    before = re.findall(r"Problem with given class_path '([\w.]+)'", message[: rejected.start()])
    kind = locate(rejected[1] or (before[-1] if before else ""))
    names = list(inspect.signature(kind).parameters) if inspect.isclass(kind) else []
    # A class that another class calls, such as a layer in blocks, receives its first arguments from that class.
    called = re.search(r"Callable\[\[([^\[\]]*)\][^:]*callable class: $", message[: rejected.start()])
    given = called[1].count(",") + 1 if called else 0
    return [name for name in names[given:] if name not in ("input_size", "spec", "params", "defaults")]


class Parser(LightningArgumentParser):
    """A parser that reports an error in one line, and whose help also lists the commands that are not the trainer's.

    An option that names another class than the configs, such as ``--model.core GRU``, drops the arguments of the
    earlier class like a config does (:class:`ConfigByName`), but not those that the command line gives.
    """

    commands: Mapping[str, str] = MappingProxyType({})
    reads_configs = False

    def add_config_argument(self) -> None:
        """Add the option ``--config``."""
        names = ", ".join(shipped_names())
        self.add_argument("-c", "--config", action=ConfigByName, help=f"Path of a YAML file, or one of: {names}.")
        self.add_argument(DROP, action=DropReplacedArguments)
        self.reads_configs = True

    def parse_args(self, args: Any = None, namespace: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Parse arguments; before each option, drop the arguments of a class that the option replaces."""
        if not self.reads_configs or args is None:
            return super().parse_args(args, namespace, **kwargs)
        config = super().parse_args(with_drops(arguments_with_full_names(args)), namespace, **kwargs)
        check_seed(config.get("seed_everything"))
        check_nulls(config, {"trainer": Trainer})
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise a UsageError of one line, which the entry point prints."""
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
            text += hint(text, option_names(self), message)
        raise UsageError(text) from ex

    def add_subcommands(self, required: bool = True, dest: str = "subcommand", **kwargs: Any) -> Any:
        """Add the subcommands; list also those that :func:`rnn_tasks.commands.main` runs without this parser."""
        self.reads_configs = False  # the parsers of the subcommands do
        action = super().add_subcommands(required, dest, **kwargs)
        for name, summary in self.commands.items():
            action.add_subcommand(name, ArgumentParser(), help=summary)
        return action


DROP = "--drop_replaced_arguments"
"""The internal option of :class:`DropReplacedArguments`."""


class DropReplacedArguments(argparse.Action):
    """An internal option: ``--drop_replaced_arguments '["model.core", "GRU", ["hidden_size"]]'``.

    The values are the name of the next option, its value, and the arguments of the new class that earlier options gave.
    """

    def __init__(self, option_strings: Sequence[str], **kwargs: Any) -> None:
        kwargs |= {"dest": argparse.SUPPRESS, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        super().__init__(option_strings, **kwargs)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Drop the arguments of the class that the next option replaces."""
        name, value, given = json.loads(values)
        update = value
        for part in reversed(name.split(".")):
            update = {part: update}
        drop_replaced_arguments(namespace, update, given)


def with_drops(args: Sequence[str]) -> list[str]:
    """Return arguments with the internal option ``DROP`` before each option that has a value.

    Args:
        args: The arguments of a command.

    Example:
        >>> with_drops(["--model.core.hidden_size=8", "--model.core", "GRU"])[2:]
        ['--drop_replaced_arguments=["model.core", "GRU", ["hidden_size"]]', '--model.core', 'GRU']
    """
    result: list[str] = []
    earlier: list[str] = []
    for position, argument in enumerate(args):
        if match := re.fullmatch(r"--([\w.]+)(?:=(.*))?", argument, re.DOTALL):
            name = ".".join(part for part in match[1].split(".") if part != "init_args").removesuffix(".class_path")
            value = args[position + 1] if match[2] is None and position + 1 < len(args) else match[2]
            given = [other[len(name) + 1 :].partition(".")[0] for other in earlier if other.startswith(f"{name}.")]
            result.append(f"{DROP}={json.dumps([name, value, given])}")
            earlier.append(name)
        result.append(argument)
    return result


class ConfigByName(ActionConfigFile):
    """An option for configs: ``--config echo`` is the shipped ``configs/echo.yaml``; other values are paths.

    The configs of installed plug-ins have names too (:mod:`rnn_tasks.plugins`).

    After an overlay, such as ``--config echo --config models/gru``, the overlay's file for the task,
    ``configs/models/gru/echo.yaml``, is read too if it exists. Otherwise, if the model is a LanguageModel,
    ``configs/models/gru/language_model.yaml`` is read. The task is the class of ``data`` in the configs so far, so a
    recipe of your own is treated like the shipped recipe of its task. A published recipe keeps its own rates: an
    overlay adds no file to it. A config by path, or an unchanged copy of it, is the same as the config by name.

    A config that names another class than the configs before it, such as another layer, drops the arguments of
    the earlier class, except for ``hidden_size`` of a layer, and ``core`` and ``optimizer`` of a model.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Read the file, and after an overlay its file for the task."""
        read: Callable[..., None] = super().__call__
        path = shipped(str(values)) or Path(str(values))
        if not path.is_file():
            parser.error(f"no config {values}{config_hint(str(values))}")
        earlier = [Path(str(config)) for config in namespace.get("config") or [] if config]
        contents = with_full_names(read_config_file(path))
        if parser.reads_configs:
            check_sections(contents, option_names(parser))
        published = any(is_published(config) for config in earlier)
        added = None if published else task_file(path, contents, namespace)
        stored = config_of_old_run(path)
        drop_replaced_arguments(namespace, contents)
        read(parser, namespace, stored or str(path), option_string)
        check_empty_sections(contents if stored is None else {}, namespace)
        if added is not None:
            drop_replaced_arguments(namespace, read_config_file(added))
            read(parser, namespace, str(added), option_string)


def config_hint(name: str) -> str:
    """Return what to give instead of a config that does not exist.

    Example:
        >>> config_hint("ecko"), config_hint("seeds/copy_rnn")
        ("; did you mean 'echo'?", '; it was renamed to published/copy_rnn')
    """
    if current := current_config_name(name):
        return f"; it was renamed to {current}"
    return (
        suggestion(name, shipped_names()) or f": give the path of a YAML file, or one of {', '.join(shipped_names())}"
    )


def config_of_old_run(path: Path) -> str | None:
    """Return the YAML of a run of an earlier version, with current names; None for any other config.

    Args:
        path: The path of a config.
    """
    if path.name != CONFIG or not (path.parent / CHECKPOINTS).is_dir():
        return None
    stored, current = read_stored_config(path.parent), read_config(path.parent)
    return None if current == stored else yaml.safe_dump(current)
