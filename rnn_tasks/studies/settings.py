"""The settings that define a run of a study, to notice that they have changed since the run was done."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

from rnn_tasks.cli.shipped import shipped
from rnn_tasks.studies.plan import Plan, PlannedRun, as_argument
from rnn_tasks.studies.plan_file import dotted


def settings_of(plan: Plan, run: PlannedRun) -> dict[str, str]:
    """Return the settings of a run as text by name: options, names of configs, and a digest of each config file.

    Args:
        plan: The study.
        run: The run, in a search with its drawn values.
    """
    configs = plan.configs_of(run)
    values = {**dict(dotted(plan.overlay(run))), **plan.options_of(run)}
    digests = {f"the contents of {path.as_posix()}": digest for path, digest in digests_of(configs)}
    return {"configs": ", ".join(configs), **digests, **{name: as_argument(value) for name, value in values.items()}}


def digests_of(configs: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the path of each config file and a digest of its contents; comments and order of keys do not count.

    An overlay may have further files for some tasks, such as ``models/gru/copy.yaml``.

    Args:
        configs: Names or paths of configs.
    """
    names = {"language_model", *(Path(config).stem for config in configs)}
    for config in configs:
        path = shipped(config) or Path(config)
        for file in (path, *sorted(path.with_suffix("").glob("*.yaml"))):
            if file.is_file() and (file == path or file.stem in names):
                yield file.relative_to(path.parent), digest_of(file, file.stat().st_mtime_ns)


@cache
def digest_of(path: Path, changed_at: int) -> str:
    """Return a digest of the contents of a YAML file.

    Args:
        path: The file.
        changed_at: The time of its last change; a file that has not changed is read once.
    """
    try:
        text = json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), sort_keys=True, default=str)
    except (yaml.YAMLError, ValueError, TypeError):  # the run itself reports the mistake
        text = ""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the names of the settings that differ.

    Example:
        >>> differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
        ['a', 'b', 'c']
    """
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
