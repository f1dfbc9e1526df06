"""Read a study from its YAML file, and check the file."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.cli.config_file import read_config_file
from rnn_tasks.cli.shipped import CONFIGS, config_folders, shipped
from rnn_tasks.errors import require
from rnn_tasks.runs.old_names import LAYOUTS, OPTIONS, current_config_name
from rnn_tasks.studies.plan import Cells, Plan, Range, Search, Tuning, Variant
from rnn_tasks.studies.rows import is_finite

STUDIES = CONFIGS / "studies"
KEYS = {"about", "minutes", "configs", "set", "axes", "seeds", "budget", "search", "large", "tune", "cells"}
BUDGET_KEYS = {"steps", "minutes", "parameters"}
SEARCH_KEYS = {"sampler", "runs", "objective"}
SAMPLERS, OBJECTIVES = ("random", "tpe"), ("loss", "steps")


def study_names() -> list[str]:
    """Return the names of the studies of this package, then those of plug-ins."""
    paths = [path for folder in config_folders() for path in sorted(folder.glob("studies/*.yaml"))]
    return list(dict.fromkeys(path.stem for path in paths))


def read_plan(name: str, large: bool = False) -> Plan:
    """Read a study.

    Args:
        name: The name of a study of this package or of a plug-in, or the path of a YAML file.
        large: Whether to use the larger setting of the study.

    Raises:
        UsageError: The study does not exist, or its file has a mistake.
    """
    path = shipped(f"studies/{name}") or Path(name)
    require(
        os.path.isfile(path), f"there is no study {name}: give the path of a file, or one of {', '.join(study_names())}"
    )
    return plan_from(read_yaml(path), path.stem, str(path), large)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    PyYAML reads 1e-3 as text. It stays text here, since it names the runs in databases of version 0.1.0.

    Raises:
        UsageError: The file cannot be read, is not valid YAML, or has a key twice in one section.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        values = {}
    if isinstance(values, dict):
        read_config_file(path)
    return values


def plan_from(values: Any, name: str, path: str, large: bool = False) -> Plan:
    """Return the study that a YAML describes.

    Args:
        values: The content of the YAML.
        name: The name of the study.
        path: The path of the YAML, for messages.
        large: Whether to use the larger setting of the study.

    Raises:
        UsageError: The content has a mistake.
    """
    check_section(values, KEYS, path)
    if large:
        require("large" in values, f"{path} has no larger setting")
        check_section(values["large"], KEYS - {"large"}, f"{path}: large")
        values = {**values, **values["large"]}
    budget = values.get("budget") or {}
    check_section(budget, BUDGET_KEYS, f"{path}: budget")
    axes = values.get("axes")
    require(isinstance(axes, dict) and bool(axes), f"{path}: axes must name at least one axis")
    seeds = values.get("seeds", [0])
    require(
        isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds),
        f"{path}: seeds must be whole numbers of at least 0",
    )
    require(len(set(seeds)) == len(seeds) > 0, f"{path}: seeds must not be empty or repeat a seed")
    search = search_from(values, f"{path}: search")
    sections = {str(axis): section for axis, section in axes.items() if isinstance(section, dict) and "low" in section}
    require(search is not None or not sections, f"{path}: axes: {', '.join(sections)}: low and high need a search")
    ranges = {axis: range_from(section, f"{path}: axes: {axis}") for axis, section in sections.items()}
    numbers = (values.get("minutes"), *budget.values())
    require(
        all(number is None or (is_finite(number) and number > 0) for number in numbers),
        f"{path}: minutes and the budget must be numbers above 0",
    )
    plan = Plan(
        name=name if not large else f"{name}_large",
        about=str(values.get("about", "")),
        configs=names_from(values.get("configs"), f"{path}: configs"),
        options=options_from(values.get("set"), f"{path}: set"),
        axes={
            str(a): () if a in ranges else variants_from(section, f"{path}: axes: {a}") for a, section in axes.items()
        },
        seeds=tuple(seeds),
        max_steps=budget.get("steps"),
        minutes=budget.get("minutes"),
        max_parameters=budget.get("parameters"),
        tuning=tuning_from(values, f"{path}: tune"),
        cells=cells_from(values, f"{path}: cells"),
        takes=values.get("minutes"),
        ranges=ranges,
        search=search,
    )
    names = [run.name for run in plan.runs()]
    require(len(set(names)) == len(names), f"{path}: two runs have the same name: give the variants other names")
    check_current_names(plan, path)
    return plan


def check_current_names(plan: Plan, path: str) -> None:
    """Raise a UsageError that gives the new name if a study uses an old name of a config, option or layout.

    Args:
        plan: The study.
        path: The path of the YAML, for messages.
    """
    variants = [variant for variants in plan.axes.values() for variant in variants]
    for name in (*plan.configs, *(name for variant in variants for name in variant.configs)):
        current = None if os.path.isfile(name) else current_config_name(name)
        require(current is None, f"{path}: there is no config {name}; it was renamed to {current}")
    settings = [*plan.options.items(), *(option for variant in variants for option in variant.options.items())]
    for option, value in (*settings, *(leaf for variant in variants for leaf in dotted(variant.overlay))):
        section, _, name = option.rpartition(".")
        current = OPTIONS.get(name) if section.startswith("model") else None
        require(current is None, f"{path}: there is no option {option}; it was renamed to {section}.{current}")
        layout = LAYOUTS.get(str(value)) if section.startswith("data") and name == "layout" else None
        require(layout is None, f"{path}: there is no layout {value}; it was renamed to {layout}")


def dotted(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a nested section by their dotted names.

    Example:
        >>> list(dotted({"data": {"delay": 4, "layout": "plain"}}))
        [('data.delay', 4), ('data.layout', 'plain')]
    """
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def check_section(values: Any, keys: set[str], where: str) -> None:
    """Raise a UsageError unless ``values`` is a section whose keys are all in ``keys``.

    Args:
        values: The section.
        keys: The keys that the section may have.
        where: The name of the section in messages.
    """
    require(isinstance(values, dict), f"{where} must be a section with keys out of {', '.join(sorted(keys))}")
    unknown = [str(key) for key in values if key not in keys]
    require(not unknown, f"{where}: unknown key {', '.join(unknown)}; known: {', '.join(sorted(keys))}")


def names_from(values: Any, where: str) -> tuple[str, ...]:
    """Return names of configs, given as a list or as a single name."""
    values = [values] if isinstance(values, str) else values or []
    require(
        isinstance(values, list) and all(isinstance(v, str) for v in values),
        f"{where} must be the name of a config or a list of names",
    )
    return tuple(values)


def options_from(values: Any, where: str) -> dict[str, Any]:
    """Return the values of options by dotted name."""
    values = values or {}
    require(isinstance(values, dict), f"{where} must map dotted option names to values, such as data.delay: 4")
    return {str(name): value for name, value in values.items()}


def search_from(values: Mapping[str, Any], where: str) -> Search | None:
    """Return the settings of a search; None for a grid.

    Args:
        values: The content of the YAML.
        where: The name of the section ``search`` in messages.
    """
    section = values.get("search")
    if section is None:
        return None
    check_section(section, SEARCH_KEYS, where)
    search = Search(section.get("sampler", "tpe"), section.get("runs", 40), section.get("objective", "loss"))
    require(search.sampler in SAMPLERS, f"{where}: sampler must be {' or '.join(SAMPLERS)}, got {search.sampler}")
    require(
        search.objective in OBJECTIVES, f"{where}: objective must be {' or '.join(OBJECTIVES)}, got {search.objective}"
    )
    require(
        type(search.runs) is int and 0 < search.runs < 10_000,
        f"{where}: runs must be a whole number from 1 to 9,999, got {search.runs}",
    )
    require(len(values.get("seeds", [0])) == 1, f"{where}: a search has a single seed; give seeds: [0]")
    steps = (values.get("budget") or {}).get("steps")
    require(search.objective != "steps" or steps is not None, f"{where}: objective steps needs budget: {{steps: ...}}")
    return search


def tuning_from(values: Mapping[str, Any], where: str) -> Tuning | None:
    """Return how the variant of an axis is chosen; None without a section ``tune``.

    Args:
        values: The content of the YAML.
        where: The name of the section ``tune`` in messages.
    """
    section = values.get("tune")
    if section is None:
        return None
    check_section(section, {"axis", "seed"}, where)
    axis, seed, seeds = section.get("axis"), section.get("seed"), values.get("seeds", [0])
    known = isinstance(axis, str) and axis in values["axes"]
    require(known, f"{where}: axis must be one of {', '.join(map(str, values['axes']))}, got {axis}")
    require(type(seed) is int and seed >= 0, f"{where}: seed must be a whole number of at least 0, got {seed}")
    require(seed not in seeds, f"{where}: seed {seed} is also in seeds: choose on a seed that no other run uses")
    require(values.get("search") is None, f"{where}: a study has either a search or a tuned axis")
    return Tuning(str(axis), seed)


def cells_from(values: Mapping[str, Any], where: str) -> tuple[Cells, ...]:
    """Return the options of the runs with certain variants.

    Args:
        values: The content of the YAML, whose section ``cells`` is a list of
            ``{where: {axis: variant or list of variants}, set: {option: value}}``.
        where: The name of the section in messages.
    """
    sections = values.get("cells") or []
    require(isinstance(sections, list), f"{where} must be a list")
    cells = []
    for section in sections:
        check_section(section, {"where", "set"}, where)
        chosen = section.get("where")
        require(isinstance(chosen, dict) and bool(chosen), f"{where}: where must name variants of axes")
        named = {
            str(axis): tuple(map(str, names if isinstance(names, list) else [names])) for axis, names in chosen.items()
        }
        for axis, names in named.items():
            known = list(variants_of(values, axis))
            for name in names:
                require(name in known, f"{where}: {axis} has no variant {name}: its variants are {', '.join(known)}")
        cells.append(Cells(named, options_from(section.get("set"), f"{where}: set")))
    return tuple(cells)


def variants_of(values: Mapping[str, Any], axis: str) -> list[str]:
    """Return the names of the variants of an axis; empty if there is no such axis.

    Args:
        values: The content of the YAML.
        axis: The name of the axis.
    """
    section = values["axes"].get(axis)
    if not isinstance(section, dict):
        return []
    return list(map(str, section["values"] if isinstance(section.get("values"), list) else section))


def range_from(section: Mapping[str, Any], where: str) -> Range:
    """Return an axis whose values are drawn from a range.

    Args:
        section: The section of the YAML: ``{option: ..., low: ..., high: ..., log: true}``.
        where: The name of the section in messages.
    """
    check_section(section, {"option", "low", "high", "log"}, where)
    low, high, log = number_from(section["low"]), number_from(section.get("high")), section.get("log", False)
    require("option" in section, f"{where}: option must name the option that takes the value")
    require(
        is_finite(low) and is_finite(high) and low < high,
        f"{where}: low and high must be numbers, low below high",
    )
    require(
        type(log) is bool and (not log or low > 0), f"{where}: log must be true or false, and true needs low above 0"
    )
    return Range(str(section["option"]), low, high, log)


def number_from(value: Any) -> float:
    """Return a value of a YAML as a number, also a text such as 1e-4; NaN if the value is not a number.

    Example:
        >>> number_from(2), number_from("1e-4"), number_from("one")
        (2, 0.0001, nan)
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value if type(value) in (int, float) else math.nan


def variants_from(section: Any, where: str) -> tuple[Variant, ...]:
    """Return the variants of an axis: either named variants, or the values of one option.

    Args:
        section: The section of the YAML: ``{name: {configs: ..., overlay: ..., set: ...}}``, or
            ``{option: ..., values: ...}``.
        where: The name of the section in messages.
    """
    require(isinstance(section, dict) and bool(section), f"{where} must have named variants, or option and values")
    if "option" in section or "values" in section:
        check_section(section, {"option", "values"}, where)
        values = section.get("values")
        require(isinstance(values, list) and bool(values), f"{where}: values must be a list")
        option = str(section.get("option"))
        return tuple(variant_of_value(option, value) for value in values)
    return tuple(variant_from(parts or {}, str(name), f"{where}: {name}") for name, parts in section.items())


def variant_of_value(option: str, value: Any) -> Variant:
    """Return the variant that sets an option to a value, with the value as its name.

    Args:
        option: The dotted name of the option.
        value: The value. YAML reads 1e-3 as text, which is a number here too.
    """
    number = number_from(value)
    return Variant(str(value), options={option: value}, value=number if is_finite(number) else None)


def variant_from(section: Any, name: str, where: str) -> Variant:
    """Return a named variant.

    Args:
        section: The section of the YAML: ``{configs: ..., overlay: ..., set: ...}``.
        name: The name of the variant.
        where: The name of the section in messages.
    """
    check_section(section, {"configs", "overlay", "set"}, where)
    overlay = section.get("overlay") or {}
    require(isinstance(overlay, dict), f"{where}: overlay must be a config")
    configs = names_from(section.get("configs"), f"{where}: configs")
    return Variant(name, configs, options_from(section.get("set"), f"{where}: set"), overlay)
