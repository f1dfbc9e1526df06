"""The command line's parser: configs by name, and mistakes told in one line."""

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
from lightning.pytorch.cli import LightningArgumentParser

from rnn_tasks.cli.shipped import CONFIGS, shipped, shipped_names
from rnn_tasks.errors import brief
from rnn_tasks.runs.files import CHECKPOINTS, CONFIG
from rnn_tasks.runs.find import read_config, read_stored_config
from rnn_tasks.runs.old_names import LAYOUTS, OPTIONS, current_config_name
from rnn_tasks.spec import TaskSpec

# TaskSpec is one value for the parser, not a group of options: it is linked as a whole from the task to the model.
# Trying each style of docstrings on each class would take a fifteenth of the time that parsing takes.
set_parsing_settings(subclasses_enabled=[TaskSpec], docstring_parse_style=DocstringStyle.GOOGLE)


def exported() -> dict[str, Any]:
    """What the package offers by name: its layers, tasks, models and callbacks."""
    modules = [module for name, module in sys.modules.copy().items() if name.startswith("rnn_tasks.")]
    return {name: getattr(module, name) for module in modules for name in getattr(module, "__all__", ())}


def option_names(parser: argparse.ArgumentParser) -> set[str]:
    """The options of a parser and of its subcommands, without dashes."""
    names: set[str] = set()
    for action in parser._actions:
        if isinstance(action.choices, dict):
            names = names.union(*(option_names(below) for below in action.choices.values()))
        else:
            names.add(action.dest)
    return names


def hint(message: str, options: Iterable[str]) -> str:
    """What a misspelt word in a message was perhaps meant to be.

    Args:
        message: As :func:`brief` gives it.
        options: The option names that the parser knows.

    Example:
        >>> hint("Subcommand 'fit' does not accept option 'trainer.max_step'", ["trainer.max_steps"])
        "; did you mean 'trainer.max_steps'?"
    """
    old_names = OPTIONS
    if found := re.search(r"class_path '[\w.]+': (?:\w+: )?Option '(\w+)'", message):
        classes = [value for value in exported().values() if inspect.isclass(value)]
        candidates = {name for value in classes for name in inspect.signature(value).parameters}
    elif found := re.search(r"no such class: ([\w.]+)", message):
        candidates = set(exported())
    elif found := re.search(r"must be one of '.*'; got (\w+)$", message):
        candidates = set(re.findall(r"'(\w+)'", message.partition("must be one of")[2]))
        old_names = LAYOUTS
    elif found := re.search(r"(?:option '|unrecognized arguments: --)([\w.]+)", message):
        candidates = set(options)
    else:
        return ""
    word = found[1]
    if word in old_names:
        return f"; it is called {old_names[word]!r} now"
    close = difflib.get_close_matches(word, candidates, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class Parser(LightningArgumentParser):
    """A parser that names the mistake and not all options, and that lists commands which are not the trainer's."""

    commands: Mapping[str, str] = MappingProxyType({})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong in one line and exit with status 2."""
        if not self.exit_on_error:
            super().error(message, ex)
        text = brief(message)
        if "arguments are required: fit." in text:
            text += ": name a task, for instance with --config echo"
        text += hint(text, option_names(self))
        self.exit(2, f"{self.prog.split(' ')[0]}: error: {text}\n")

    def add_subcommands(self, required: bool = True, dest: str = "subcommand", **kwargs: Any) -> Any:
        """List the commands that :func:`rnn_tasks.commands.main` runs itself beside the trainer's."""
        action = super().add_subcommands(required, dest, **kwargs)
        for name, summary in self.commands.items():
            action.add_subcommand(name, ArgumentParser(), help=summary)
        return action


class ConfigByName(ActionConfigFile):
    """``--config echo`` means the shipped ``configs/echo.yaml``; other values are paths.

    After an overlay, such as ``--config echo --config models/gru``, the overlay's own file for the task,
    ``configs/models/gru/echo.yaml``, is read too, if there is one; after the recipe of a task on text, whose model is
    LanguageModel, otherwise ``configs/models/gru/language_model.yaml``.
    """

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Read the file, and the overlay's own file for the last recipe that it has one for."""
        read: Callable[..., None] = super().__call__
        path = shipped(str(values)) or Path(str(values))
        if not path.is_file():
            if current := current_config_name(str(values)):
                parser.error(f"no config {values}: it is called {current} now")
            parser.error(f"no config {values}: give a file, or one of {', '.join(shipped_names())}")
        recipes = [Path(str(config)) for config in namespace.get("config") or [] if config]
        read(parser, namespace, config_of_run(path) or str(path), option_string)
        own = [file for recipe in recipes if (file := own_file(path, recipe)) is not None]
        for file in own[-1:]:
            read(parser, namespace, str(file), option_string)


def config_of_run(path: Path) -> str | None:
    """Return the YAML of a run that an earlier version made, with current names; None for any other config.

    Args:
        path: The path of a config.
    """
    if path.name != CONFIG or not (path.parent / CHECKPOINTS).is_dir():
        return None
    stored, current = read_stored_config(path.parent), read_config(path.parent)
    return None if current == stored else yaml.safe_dump(current)


def own_file(overlay: Path, recipe: Path) -> Path | None:
    """The file that an overlay has for a recipe; None if it has none.

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
    """The class of the model that a config names, without its module; empty if it names none."""
    contents = yaml.safe_load(config.read_text(encoding="utf-8"))
    model = contents.get("model") if isinstance(contents, dict) else None
    return str(model.get("class_path", "")).rpartition(".")[2] if isinstance(model, dict) else ""
