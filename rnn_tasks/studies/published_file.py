"""Read published results and the runs that reproduce them from their YAML file."""

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rnn_tasks.errors import require
from rnn_tasks.studies.plan_file import STUDIES, check_section, plan_from, read_yaml
from rnn_tasks.studies.published import Published, PublishedResult, RunCost

RESULTS_FILE = STUDIES / "published" / "results.yaml"
NAME = "reproduce"
"""The name of the study that holds the runs of all results."""

RUN_KEYS = {"configs", "set", "overlay", "seeds", "minutes", "slow"}
SOURCE_KINDS = ("metric", "curve", "function")
RESULT_KEYS = {*SOURCE_KINDS, "what", "run", "published", "tolerance", "decimals", "source", "known_deviation"}


def read_published(path: Path) -> Published:
    """Read the published results and their runs.

    Args:
        path: The YAML file.

    Raises:
        UsageError: The file has a mistake.
    """
    return published_from(read_yaml(path), str(path))


def published_from(values: Any, path: str) -> Published:
    """Return the published results that a YAML describes.

    Args:
        values: The content of the YAML.
        path: The path of the YAML, for messages.

    Raises:
        UsageError: The content has a mistake.
    """
    check_section(values, {"about", "runs", "results"}, path)
    runs, results = values.get("runs"), values.get("results")
    for section, name in ((runs, "runs"), (results, "results")):
        require(
            isinstance(section, dict) and bool(section), f"{path}: {name} must be a section with at least one entry"
        )
    costs = {str(name): cost_from(section, f"{path}: runs: {name}") for name, section in runs.items()}
    variants = {
        str(name): {key: run[key] for key in run if key in ("configs", "set", "overlay")} for name, run in runs.items()
    }
    seeds = sorted({seed for cost in costs.values() for seed in cost.seeds})
    study = {"about": values.get("about", ""), "axes": {"run": variants}, "seeds": seeds}
    published = [result_from(part, str(name), costs, f"{path}: results: {name}") for name, part in results.items()]
    return Published(plan_from(study, NAME, path), costs, tuple(published))


def cost_from(section: Any, where: str) -> RunCost:
    """Return the cost of a run.

    Args:
        section: The section of the run in the YAML.
        where: The name of the section in messages.
    """
    check_section(section, RUN_KEYS, where)
    minutes, seeds, slow = section.get("minutes"), section.get("seeds", [0]), section.get("slow", False)
    require(is_number(minutes) and minutes > 0, f"{where}: minutes must be a number above 0, got {minutes}")
    require(isinstance(slow, bool), f"{where}: slow must be true or false, got {slow}")
    valid = isinstance(seeds, list) and bool(seeds) and all(type(seed) is int and seed >= 0 for seed in seeds)
    require(valid and len(set(seeds)) == len(seeds), f"{where}: seeds must be whole numbers of at least 0, each once")
    return RunCost(float(minutes), tuple(seeds), slow)


def result_from(section: Any, name: str, runs: Collection[str], where: str) -> PublishedResult:
    """Return a published result.

    Args:
        section: The section of the result in the YAML.
        name: The name of the result.
        runs: The names that ``run`` may have.
        where: The name of the section in messages.
    """
    check_section(section, RESULT_KEYS, where)
    run, kinds = section.get("run"), [kind for kind in SOURCE_KINDS if kind in section]
    require(len(kinds) == 1, f"{where} must have exactly one of {', '.join(SOURCE_KINDS)}")
    (kind,) = kinds
    require(run is None or (isinstance(run, str) and run in runs), f"{where}: there is no run {run}")
    require(run is not None or kind == "function", f"{where}: a {kind} needs the run that it is read from: give run")
    published, tolerance, decimals = section.get("published"), section.get("tolerance"), section.get("decimals", 2)
    bounds = published if isinstance(published, list) else [published, published]
    require(
        len(bounds) == 2 and all(map(is_number, bounds)) and bounds[0] <= bounds[1],
        f"{where}: published must be a number, or a list of the least and the greatest",
    )
    require(
        is_number(tolerance) and tolerance >= 0, f"{where}: tolerance must be a number of at least 0, got {tolerance}"
    )
    require(type(decimals) is int and 0 <= decimals <= 9, f"{where}: decimals must be in 0..9, got {decimals}")
    for key in ("what", "source", kind):
        require(isinstance(section.get(key), str) and bool(section[key]), f"{where}: {key} must be a non-empty text")
    return PublishedResult(
        name=name,
        what=section["what"],
        run=run,
        source_kind=kind,
        key=section[kind],
        low=bounds[0],
        high=bounds[1],
        tolerance=tolerance,
        decimals=decimals,
        source=section["source"],
        known_deviation=str(section.get("known_deviation", "")),
    )


def is_number(value: Any) -> bool:
    """Return whether a value of a YAML is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)
