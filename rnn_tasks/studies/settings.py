"""The settings that define a run of a study, to notice that they have changed since the run was done."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.overlays import task_file
from rnn_tasks.cli.shipped import shipped
from rnn_tasks.cli.working_folder import PACKAGE, module_names
from rnn_tasks.errors import UsageError
from rnn_tasks.studies.plan import Plan, PlannedRun, as_argument, merge
from rnn_tasks.studies.plan_file import dotted


def settings_of(plan: Plan, run: PlannedRun) -> dict[str, str]:
    """Return the settings of a run as text by name: options, names of configs, and digests of the files that they name.

    These are the config files, and the modules in the working folder whose classes the config files name.

    Args:
        plan: The study.
        run: The run, in a search with its drawn values.
    """
    configs = plan.configs_of(run)
    values = {**dict(dotted(plan.overlay(run))), **plan.options_of(run)}
    digests = {f"the contents of {name}": digest for name, digest in digests_of(configs)}
    digests |= {f"the source of {name}": digest for name, digest in source_digests_of(configs)}
    return {"configs": ", ".join(configs), **digests, **{name: as_argument(value) for name, value in values.items()}}


def digests_of(configs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and a digest of each config, and of the file that an overlay adds for the task.

    Args:
        configs: Names or paths of configs.
    """
    earlier: dict[str, Any] = {}
    for config in configs:
        path = shipped(config) or Path(config)
        contents = contents_of(path)
        yield config, digest_of(contents)
        added = task_file(path, contents, earlier) if os.path.isfile(path) else None
        if added is not None:
            yield f"{config}/{added.stem}", digest_of(contents_of(added))
        earlier = merge(earlier, contents)


def source_digests_of(configs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and a digest of each module or package in the working folder whose classes configs name.

    Args:
        configs: Names or paths of configs; only files given by path count, since shipped configs name no such class.
    """
    own = [argument for config in configs if os.path.isfile(config) for argument in ("--config", config)]
    for module in sorted(module_names(own) - {PACKAGE}):
        files = [path for path in (Path(f"{module}.py"), *sorted(Path(module).rglob("*.py"))) if path.is_file()]
        if files:
            yield module, hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def contents_of(path: Path) -> dict[str, Any]:
    """Return the contents of a config; empty if the config cannot be read, which the run itself reports."""
    try:
        return read_once(path, path.stat().st_mtime_ns)
    except (UsageError, OSError):
        return {}


@cache
def read_once(path: Path, changed_at: int) -> dict[str, Any]:
    """Return the contents of a config, which is read again only after a change.

    Args:
        path: The file.
        changed_at: The time of its last change.
    """
    return read_config_file(path)


def digest_of(contents: Mapping[str, Any]) -> str:
    """Return a digest of the contents of a config; comments and the order of keys do not count."""
    return hashlib.sha256(json.dumps(ordered(contents), default=str).encode()).hexdigest()[:16]


def ordered(value: Any) -> Any:
    """Return a nested value with the keys of all mappings as text, in order.

    Example:
        >>> ordered({"b": [{2: 0, 1: 0}], "a": 1})
        {'a': 1, 'b': [{'1': 0, '2': 0}]}
    """
    if isinstance(value, Mapping):
        return {
            key: ordered(inner)
            for key, inner in sorted(((str(key), inner) for key, inner in value.items()), key=itemgetter(0))
        }
    return [ordered(inner) for inner in value] if isinstance(value, list) else value


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the names of the settings that differ.

    Example:
        >>> differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
        ['a', 'b', 'c']
    """
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
