"""What a study is: a YAML with base configs, axes and seeds, and the runs that follow from it."""

import contextlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rnn_tasks.cli.shipped import CONFIGS
from rnn_tasks.errors import UsageError, require

STUDIES = CONFIGS / "studies"
KEYS = {"about", "minutes", "configs", "set", "axes", "seeds", "budget", "search", "large"}
BUDGET_KEYS = {"steps", "minutes", "parameters"}
SEARCH_KEYS = {"sampler", "runs", "objective"}
SAMPLERS, OBJECTIVES = ("random", "tpe"), ("loss", "steps")


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
class Range:
    """An axis of a search whose values are drawn.

    Args:
        option: The dotted name that takes the value.
        low: The least value.
        high: The greatest.
        log: Whether equal ratios are equally likely, not equal differences.
    """

    option: str
    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def variant(self, drawn: float) -> Variant:
        """What a drawn number stands for: four digits of it, so that tables show the very value that was used."""
        value = int(drawn) if self.whole else min(max(float(f"{drawn:.4g}"), self.low), self.high)
        return Variant(str(value), options={self.option: value}, value=value)


@dataclass(frozen=True)
class Search:
    """How the values of a search are drawn.

    Args:
        sampler: ``random``, or ``tpe``, which prefers what has been good so far.
        runs: How many there are.
        objective: What is to be small: ``loss`` or ``steps`` to solve, both of the validation.
    """

    sampler: str
    runs: int
    objective: str


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        variants: A variant of each axis, by the axis' name.
        seed: Seed of the run.
        label: Its name in a search; empty in a grid, where variants and seed name it.
    """

    variants: Mapping[str, Variant]
    seed: int
    label: str = ""

    @property
    def name(self) -> str:
        """The name of its run folder, unlike that of every other cell."""
        if self.label:
            return self.label
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
        max_parameters: Parameters of a network at most, which its hidden size is chosen by; None for its config's.
        takes: Minutes that the whole study takes on two cores; None if it does not say.
        ranges: Axes whose values are drawn, by name; they have no variants among ``axes``.
        search: How values are drawn; None for a grid.
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
    ranges: Mapping[str, Range] = field(default_factory=dict)
    search: Search | None = None
    max_parameters: int | None = None

    @property
    def compares(self) -> bool:
        """Whether its runs are of one task, so that one of them can be the best."""
        return True

    def cells(self) -> list[Cell]:
        """All runs: every combination of variants with every seed, the seeds of a combination one after another.

        Those of a search are numbered, and have no values before they are :meth:`drawn`.
        """
        if self.search is not None:
            names = [f"run{number:04}" for number in range(1, self.search.runs + 1)]
            return [self.drawn(Cell({}, self.seeds[0], name), {}) for name in names]
        combinations = itertools.product(*self.axes.values())
        return [
            Cell(dict(zip(self.axes, variants, strict=True)), seed) for variants in combinations for seed in self.seeds
        ]

    def drawn(self, cell: Cell, values: Mapping[str, Any]) -> Cell:
        """A run of a search with its values.

        Args:
            cell: The run.
            values: A number or the name of a variant for each axis; without one, a variant without a name.
        """
        if self.search is None:
            return cell
        named = {axis: {variant.name: variant for variant in variants} for axis, variants in self.axes.items()}

        def variant(axis: str) -> Variant:
            if axis not in values:
                return Variant("")
            value = values[axis]
            return self.ranges[axis].variant(value) if axis in self.ranges else named[axis].get(value, Variant(value))

        return replace(cell, variants={axis: variant(axis) for axis in self.axes})

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
        if self.max_parameters is not None:
            options["max_parameters"] = self.max_parameters
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
    return plan_of(values, path.stem, str(path), large)


def plan_of(values: Any, name: str, path: str, large: bool = False) -> Plan:
    """The study that a YAML describes.

    Args:
        values: What the YAML holds.
        name: Of the study.
        path: How a message calls the YAML.
        large: Whether its larger setting is meant.

    Raises:
        UsageError: It describes none.
    """
    checked(values, KEYS, path)
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
    search = search_of(values, f"{path}: search")
    drawn = {str(axis): given for axis, given in axes.items() if isinstance(given, dict) and "low" in given}
    require(search is not None or not drawn, f"{path}: axes: {', '.join(drawn)}: low and high need a search")
    ranges = {axis: range_of(given, f"{path}: axes: {axis}") for axis, given in drawn.items()}
    numbers = (values.get("minutes"), *budget.values())
    require(
        all(number is None or (type(number) in (int, float) and number > 0) for number in numbers),
        f"{path}: minutes and the budget must be numbers above 0",
    )
    plan = Plan(
        name=name if not large else f"{name}_large",
        about=str(values.get("about", "")),
        configs=names_of(values.get("configs"), f"{path}: configs"),
        options=options_of(values.get("set"), f"{path}: set"),
        axes={str(a): () if a in ranges else variants_of(given, f"{path}: axes: {a}") for a, given in axes.items()},
        seeds=tuple(seeds),
        max_steps=budget.get("steps"),
        minutes=budget.get("minutes"),
        max_parameters=budget.get("parameters"),
        takes=values.get("minutes"),
        ranges=ranges,
        search=search,
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


def search_of(values: Mapping[str, Any], where: str) -> Search | None:
    """How a study draws its values; None for a grid.

    Args:
        values: What the YAML holds.
        where: How a message calls its section.
    """
    given = values.get("search")
    if given is None:
        return None
    checked(given, SEARCH_KEYS, where)
    search = Search(given.get("sampler", "tpe"), given.get("runs", 40), given.get("objective", "loss"))
    require(search.sampler in SAMPLERS, f"{where}: sampler must be {' or '.join(SAMPLERS)}")
    require(search.objective in OBJECTIVES, f"{where}: objective must be {' or '.join(OBJECTIVES)}")
    require(type(search.runs) is int and 0 < search.runs < 10_000, f"{where}: runs must be a number from 1 to 9,999")
    require(len(values.get("seeds", [0])) == 1, f"{where}: all runs have one seed: give seeds a single number")
    steps = (values.get("budget") or {}).get("steps")
    require(search.objective != "steps" or steps is not None, f"{where}: objective steps needs budget: {{steps: ...}}")
    return search


def range_of(given: Mapping[str, Any], where: str) -> Range:
    """An axis whose values are drawn.

    Args:
        given: As in the YAML: ``{option: ..., low: ..., high: ..., log: true}``.
        where: How a message calls it.
    """
    checked(given, {"option", "low", "high", "log"}, where)
    low, high, log = number_of(given["low"]), number_of(given.get("high")), given.get("log", False)
    require("option" in given, f"{where}: option must name what takes the value")
    require(
        math.isfinite(low) and math.isfinite(high) and low < high,
        f"{where}: low and high must be numbers, low the lesser",
    )
    require(type(log) is bool and (not log or low > 0), f"{where}: log must be true or false, and low above 0 for it")
    return Range(str(given["option"]), low, high, log)


def number_of(value: Any) -> float:
    """A number of a YAML, which takes 1e-4 for a word; not a number if it is none.

    Example:
        >>> number_of(2), number_of("1e-4"), number_of("one")
        (2, 0.0001, nan)
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value if type(value) in (int, float) else math.nan


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
