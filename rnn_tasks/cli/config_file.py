"""Reading a config: plain YAML, checked before the parser sees it."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.errors import UsageError

MAX_NESTING = 50
"""Levels of nesting that a config may have; more would exhaust the stack."""

MAX_VALUES = 100_000
"""Values that a config may have, counting each use of an alias."""


class UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A loader of YAML that rejects a key that occurs twice in a mapping, of which PyYAML would use the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping.

        Raises:
            yaml.constructor.ConstructorError: A key occurs twice.
        """
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                problem = f"the key {key.value} occurs twice, first in line {lines[name]}"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            lines[name] = line
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


# Like the parser's loader: a date is a string, and 1e-3 is a number although it has no point.
UniqueKeyLoader.add_constructor("tag:yaml.org,2002:timestamp", UniqueKeyLoader.construct_yaml_str)
EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$")
UniqueKeyLoader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789"))


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the contents of a config.

    Args:
        path: The path of a YAML file.

    Raises:
        UsageError: The file cannot be read, is not text in UTF-8, is not valid YAML, has a key twice in one mapping,
            or does not hold a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8: save it in this encoding") from error
    try:
        require_shallow(text)
        config = yaml.load(text, UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not valid YAML: {problem_of(error, text)}") from error
    if num_values(config) > MAX_VALUES:
        raise UsageError(f"{path} has more than {MAX_VALUES:,} values, or an alias that contains itself")
    if not isinstance(config, dict):
        found = "nothing" if config is None else f"a {type(config).__name__}"
        raise UsageError(f"{path} must hold sections such as 'data:' and 'model:', but holds {found}")
    return config


def require_shallow(text: str) -> None:
    """Raise a YAMLError if YAML is nested too deeply to be parsed.

    Args:
        text: The YAML.

    Raises:
        yaml.YAMLError: The text is not valid YAML, or has more than ``MAX_NESTING`` levels.
    """
    depth = 0
    for event in yaml.parse(text, UniqueKeyLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_NESTING:
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise yaml.YAMLError(f"line {line}: more than {MAX_NESTING} levels of nesting")


def num_values(config: Any) -> int:
    """Return the number of values and sections of a config, each use of an alias counted; at most MAX_VALUES + 1.

    Args:
        config: The contents of the config.
    """
    count, pending = 0, [config]
    while pending and count <= MAX_VALUES:
        value = pending.pop()
        count += 1
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return count


def problem_of(error: yaml.YAMLError, text: str) -> str:
    """Return what is wrong with YAML in one line, with the number of the line.

    Args:
        error: The error of the loader.
        text: The YAML.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        line, problem = error.problem_mark.line, str(error.problem)
        if text.splitlines()[line : line + 1] and text.splitlines()[line].lstrip(" ").startswith("\t"):
            problem = "indent with spaces, not with tabs"
        return f"line {line + 1}: {problem}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"line {text.count(chr(10), 0, error.position) + 1}: a control character is not allowed"
    return str(error).partition("\n")[0]
