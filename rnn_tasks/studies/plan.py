"""What a study is: a YAML with base configs, axes and seeds, and the runs that follow from it."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.errors import UsageError, require
from rnn_tasks.parsing import CONFIGS

STUDIES = CONFIGS / "studies"
KEYS = {"about", "minutes", "configs", "set", "axes", "seeds", "budget", "large"}
BUDGET_KEYS = {"steps", "minutes"}


@dataclass(frozen=True)
class Variant:
    """One value of an axis: what it adds to the command line of a run.

    Args:
        name: As tables show it.
        configs: Configs that are read behind the base ones.
        options: Values by their dotted names.
        overlay: A config of its own, read behind ``configs``.
        value: The number that the name stands for, where it is one.
    """

    name: str
    configs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    overlay: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        variants: A variant of each axis, by the axis' name.
        seed: Seed of the run.
    """

    variants: Mapping[str, Variant]
    seed: int

    @property
    def name(self) -> str:
        """The name of its run folder, unlike that of every other cell."""
        parts = [*(variant.name for variant in self.variants.values()), f"seed{self.seed}"]
        return "-".join(re.sub(r"[^\w.+]", "_", part) for part in parts)

    @property
    def group(self) -> tuple[str, ...]:
        """The names of its variants: what runs of different seeds share."""
        return tuple(variant.name for variant in self.variants.values())


@dataclass(frozen=True)
class Plan:
    """A study.

    Args:
        name: Its name.
        about: What it asks, in a sentence.
        configs: Configs of all runs.
        options: Options of all runs.
        axes: Variants by the names of the axes.
        seeds: Seeds of each combination.
        max_steps: Optimizer steps of a run at most; None for those of its config.
        minutes: Minutes of a run at most; None for no limit.
        takes: Minutes that the whole study takes on two cores; None if it does not say.
    """

    name: str
    about: str
    configs: tuple[str, ...]
    options: Mapping[str, Any]
    axes: Mapping[str, tuple[Variant, ...]]
    seeds: tuple[int, ...]
    max_steps: int | None
    minutes: float | None
    takes: float | None = None

    def cells(self) -> list[Cell]:
        """All runs: every combination of variants with every seed, the seeds of a combination one after another."""
        combinations = itertools.product(*self.axes.values())
        return [
            Cell(dict(zip(self.axes, variants, strict=True)), seed) for variants in combinations for seed in self.seeds
        ]

    def overlay(self, cell: Cell) -> dict[str, Any]:
        """The config that the variants of a run bring with them; empty if they bring none."""
        merged: dict[str, Any] = {}
        for variant in cell.variants.values():
            merged = merge(merged, variant.overlay)
        return merged

    def words(self, cell: Cell, overlay: Sequence[str] = ()) -> list[str]:
        """The command line of a run behind ``rnn-tasks``, without the place of its folder.

        Args:
            cell: The run.
            overlay: The file that its :meth:`overlay` was written to, if there is one.
        """
        configs = [*self.configs, *(name for variant in cell.variants.values() for name in variant.configs), *overlay]
        options = dict(self.options)
        for variant in cell.variants.values():
            options |= variant.options
        if self.max_steps is not None:
            options["trainer.max_steps"] = self.max_steps
        if self.minutes is not None:
            options["trainer.max_time"] = as_time(self.minutes)
        options["seed_everything"] = cell.seed
        words = ["fit", *(word for name in configs for word in ("--config", name))]
        return [*words, *(f"--{name}={as_word(value)}" for name, value in options.items())]


def merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two nested sections as one; where both have a value, the other's.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    merged = dict(one)
    for name, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def as_time(minutes: float) -> str:
    """Minutes as Lightning's ``max_time`` wants them.

    Example:
        >>> as_time(1.5)
        '00:00:01:30'
    """
    seconds = round(60 * minutes)
    return f"00:{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def as_word(value: Any) -> str:
    """A value of a YAML as a word of the command line."""
    return (
        value
        if isinstance(value, str)
        else yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
    )


def study_names() -> list[str]:
    """The names of the shipped studies."""
    return sorted(path.stem for path in STUDIES.glob("*.yaml"))


def read_plan(name: str, large: bool = False) -> Plan:
    """Read a study.

    Args:
        name: Name of a shipped study, or path of a YAML file.
        large: Whether its larger setting is meant.

    Raises:
        UsageError: There is no such study, or it is not one.
    """
    path = STUDIES / f"{name}.yaml"
    path = path if path.is_file() else Path(name)
    require(path.is_file(), f"no study {name}: give a file, or one of {', '.join(study_names())}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML") from error
    checked(values, KEYS, str(path))
    if large:
        require("large" in values, f"{path} has no larger setting")
        checked(values["large"], KEYS - {"large"}, f"{path}: large")
        values = {**values, **values["large"]}
    budget = values.get("budget") or {}
    checked(budget, BUDGET_KEYS, f"{path}: budget")
    axes = values.get("axes")
    require(isinstance(axes, dict) and bool(axes), f"{path}: axes must name at least one axis")
    seeds = values.get("seeds", [0])
    require(isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds), f"{path}: seeds must be numbers")
    require(len(set(seeds)) == len(seeds) > 0, f"{path}: seeds must be numbers, each once")
    numbers = (values.get("minutes"), *budget.values())
    require(
        all(number is None or (type(number) in (int, float) and number > 0) for number in numbers),
        f"{path}: minutes and the budget must be numbers above 0",
    )
    plan = Plan(
        name=path.stem if not large else f"{path.stem}_large",
        about=str(values.get("about", "")),
        configs=names_of(values.get("configs"), f"{path}: configs"),
        options=options_of(values.get("set"), f"{path}: set"),
        axes={str(axis): variants_of(given, f"{path}: axes: {axis}") for axis, given in axes.items()},
        seeds=tuple(seeds),
        max_steps=budget.get("steps"),
        minutes=budget.get("minutes"),
        takes=values.get("minutes"),
    )
    names = [cell.name for cell in plan.cells()]
    require(len(set(names)) == len(names), f"{path}: two runs have the same name: give variants other names")
    return plan


def checked(values: Any, keys: set[str], where: str) -> None:
    """Raise unless a section is one and has no other keys.

    Args:
        values: The section.
        keys: Those that it may have.
        where: How a message calls it.
    """
    require(isinstance(values, dict), f"{where} must be a section with some of {', '.join(sorted(keys))}")
    odd = [str(key) for key in values if key not in keys]
    require(not odd, f"{where} does not know {', '.join(odd)}; it knows {', '.join(sorted(keys))}")


def names_of(values: Any, where: str) -> tuple[str, ...]:
    """Names of configs."""
    values = [values] if isinstance(values, str) else values or []
    require(isinstance(values, list) and all(isinstance(v, str) for v in values), f"{where} must be names of configs")
    return tuple(values)


def options_of(values: Any, where: str) -> dict[str, Any]:
    """Options by their dotted names."""
    values = values or {}
    require(isinstance(values, dict), f"{where} must be values by dotted names, such as data.delay: 4")
    return {str(name): value for name, value in values.items()}


def variants_of(given: Any, where: str) -> tuple[Variant, ...]:
    """The variants of an axis: named ones with configs, a config of their own and options, or values of one option.

    Args:
        given: As in the YAML: ``{name: {configs: ..., overlay: ..., set: ...}}``, or ``{option: ..., values: ...}``.
        where: How a message calls it.
    """
    require(isinstance(given, dict) and bool(given), f"{where} must be variants, or an option and its values")
    if "option" in given or "values" in given:
        checked(given, {"option", "values"}, where)
        values = given.get("values")
        require(isinstance(values, list) and bool(values), f"{where}: values must be a list")
        option = str(given.get("option"))
        return tuple(
            Variant(str(value), options={option: value}, value=value if isinstance(value, int | float) else None)
            for value in values
        )
    found = []
    for name, parts in given.items():
        parts = parts or {}
        checked(parts, {"configs", "overlay", "set"}, f"{where}: {name}")
        overlay = parts.get("overlay") or {}
        require(isinstance(overlay, dict), f"{where}: {name}: overlay must be a config")
        found.append(
            Variant(
                str(name),
                names_of(parts.get("configs"), f"{where}: {name}: configs"),
                options_of(parts.get("set"), f"{where}: {name}: set"),
                overlay,
            )
        )
    return tuple(found)
