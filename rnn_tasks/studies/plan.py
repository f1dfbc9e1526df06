"""The plan of a study, its runs, and the command line of each run."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml


@dataclass(frozen=True)
class Variant:
    """One value of an axis, and what it adds to the command line of a run.

    Args:
        name: The name that tables show.
        configs: Names or paths of configs, read after the configs of the study.
        options: Values by dotted option names.
        overlay: The content of a further config, read after ``configs``.
        value: The name as a number; None if the name is not a number.
    """

    name: str
    configs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    overlay: Mapping[str, Any] = field(default_factory=dict)
    value: float | None = None


@dataclass(frozen=True)
class Range:
    """An axis of a search, whose values are drawn from a range.

    Args:
        option: The dotted name of the option that takes the value.
        low: The smallest value.
        high: The largest value.
        log: Whether to draw uniformly on a logarithmic scale.
    """

    option: str
    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def variant(self, drawn: float) -> Variant:
        """Return the variant of a drawn number, rounded to four digits so that tables show the value that was used."""
        value = int(drawn) if self.whole else min(max(float(f"{drawn:.4g}"), self.low), self.high)
        return Variant(str(value), options={self.option: value}, value=value)


@dataclass(frozen=True)
class Search:
    """The settings of a search.

    Args:
        sampler: ``random``, or ``tpe`` (tree-structured Parzen estimator), which prefers regions with good results.
        runs: The number of runs.
        objective: The quantity to minimise on the validation set: ``loss``, or ``steps`` to solve.
    """

    sampler: str
    runs: int
    objective: str


@dataclass(frozen=True)
class Tuning:
    """How a study chooses the variant of one axis, for each combination of the other axes.

    Args:
        axis: The name of the axis, such as learning rates. All its variants are tried.
        seed: The seed on which they are tried; no other run uses it.
    """

    axis: str
    seed: int


@dataclass(frozen=True)
class Cells:
    """Options of the runs with certain variants only.

    Args:
        where: The names of the variants of such a run, by the name of the axis.
        options: Values by dotted option names.
    """

    where: Mapping[str, tuple[str, ...]]
    options: Mapping[str, Any]

    def contains(self, run: "PlannedRun") -> bool:
        """Return whether the options are for a run.

        Args:
            run: The run.
        """
        return all(run.variants[axis].name in names for axis, names in self.where.items())


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Args:
        variants: A variant of each axis, by the name of the axis.
        seed: The seed of the run.
        label: The name of a run whose variants are drawn or chosen later; empty if variants and seed name the run.
    """

    variants: Mapping[str, Variant]
    seed: int
    label: str = ""

    @property
    def name(self) -> str:
        """The name of the run and of its folder, unique in the study."""
        if self.label:
            return self.label
        return run_name([variant.name for variant in self.variants.values()], self.seed)

    @property
    def group(self) -> tuple[str, ...]:
        """The names of the variants; runs that differ only in the seed have the same group."""
        return tuple(variant.name for variant in self.variants.values())


@dataclass(frozen=True)
class Plan:
    """A study.

    Args:
        name: The name of the study.
        about: The question that the study answers, in a sentence.
        configs: The configs of all runs.
        options: The options of all runs.
        axes: The variants of each axis, by the name of the axis.
        seeds: The random seeds with which each combination of variants is trained.
        max_steps: The limit of optimizer steps per run; None for the limit in the config.
        minutes: The time limit of a run in minutes; None for no limit.
        takes: The duration of the whole study on two cores in minutes; None if unknown.
        ranges: The axes whose values are drawn, by name; ``axes`` has no variants for them.
        search: The settings of a search; None for a grid.
        max_parameters: The limit of parameters, which sets the hidden size; None for the hidden size in the config.
        tuning: How the variant of one axis is chosen; None to train all its variants with all seeds.
        cells: Options of the runs with certain variants.
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
    tuning: Tuning | None = None
    cells: tuple[Cells, ...] = ()

    @property
    def has_one_task(self) -> bool:
        """Whether all runs have the same task, so that they can be ranked."""
        return "task" not in self.axes

    def runs(self) -> list[PlannedRun]:
        """Return all runs: every combination of variants with every seed; the seeds vary fastest.

        The runs of a search are numbered; their values are drawn later, see :meth:`with_values`. If an axis is tuned,
        the first runs try its variants; the runs with the seeds follow, whose variant is chosen later.
        """
        if self.search is not None:
            names = [f"run{number:04}" for number in range(1, self.search.runs + 1)]
            return [self.with_values(PlannedRun({}, self.seeds[0], name), {}) for name in names]
        every = self.combinations(self.axes)
        if self.tuning is None:
            return [PlannedRun(variants, seed) for variants in every for seed in self.seeds]
        trials = [PlannedRun(variants, self.tuning.seed) for variants in every]
        others = self.combinations([axis for axis in self.axes if axis != self.tuning.axis])
        return trials + [
            self.with_values(PlannedRun(variants, seed, run_name([v.name for v in variants.values()], seed)), {})
            for variants in others
            for seed in self.seeds
        ]

    def combinations(self, axes: Iterable[str]) -> list[dict[str, Variant]]:
        """Return every combination of the variants of some axes; the last axis varies fastest.

        Args:
            axes: The names of the axes.
        """
        names = list(axes)
        variants = itertools.product(*(self.axes[axis] for axis in names))
        return [dict(zip(names, combination, strict=True)) for combination in variants]

    def is_trial(self, run: PlannedRun) -> bool:
        """Return whether a run tries a variant of the tuned axis.

        Args:
            run: A run of the study.
        """
        return self.tuning is not None and run.seed == self.tuning.seed

    def trials_of(self, run: PlannedRun) -> list[PlannedRun]:
        """Return the runs whose results choose the variant of the tuned axis of a run; none without a tuned axis.

        Args:
            run: A run of the study.
        """
        if self.tuning is None or self.is_trial(run):
            return []
        axis = self.tuning.axis
        return [PlannedRun({**run.variants, axis: variant}, self.tuning.seed) for variant in self.axes[axis]]

    def with_values(self, run: PlannedRun, values: Mapping[str, Any]) -> PlannedRun:
        """Return a run with the variants that were drawn by a search or chosen by tuning; other runs are unchanged.

        Args:
            run: The run.
            values: A number or the name of a variant for each such axis; an axis without a value gets a nameless
                variant.
        """
        open_axes = list(self.axes) if self.search is not None else []
        if self.tuning is not None and not self.is_trial(run):
            open_axes = [self.tuning.axis]
        named = {axis: {variant.name: variant for variant in self.axes[axis]} for axis in open_axes}

        def variant(axis: str) -> Variant:
            value = values.get(axis)
            if axis in self.ranges:
                return Variant("") if value is None or isinstance(value, str) else self.ranges[axis].variant(value)
            return Variant("") if value is None else named[axis].get(value, Variant(str(value)))

        variants = {axis: variant(axis) if axis in named else run.variants[axis] for axis in self.axes}
        return replace(run, variants=variants) if open_axes else run

    def overlay(self, run: PlannedRun) -> dict[str, Any]:
        """Return the overlays of a run's variants merged into one config; empty without overlays."""
        merged: dict[str, Any] = {}
        for variant in run.variants.values():
            merged = merge(merged, variant.overlay)
        return merged

    def configs_of(self, run: PlannedRun) -> tuple[str, ...]:
        """Return the names or paths of a run's configs, in the order in which they are read."""
        return (*self.configs, *(name for variant in run.variants.values() for name in variant.configs))

    def options_of(self, run: PlannedRun) -> dict[str, Any]:
        """Return the values of a run's options by dotted name."""
        options = dict(self.options)
        for variant in run.variants.values():
            options |= variant.options
        for cells in self.cells:
            options |= cells.options if cells.contains(run) else {}
        if self.max_steps is not None:
            options["trainer.max_steps"] = self.max_steps
        if self.minutes is not None:
            options["trainer.max_time"] = as_time(self.minutes)
        if self.max_parameters is not None:
            options["max_parameters"] = self.max_parameters
        return {**options, "seed_everything": run.seed}

    def arguments(self, run: PlannedRun, overlay: Sequence[str] = ()) -> list[str]:
        """Return the arguments of ``rnn-tasks`` that train a run, without the arguments that set its folder.

        Args:
            run: The run.
            overlay: The path of a file with the :meth:`overlay` of the run; empty without an overlay.
        """
        configs, options = [*self.configs_of(run), *overlay], self.options_of(run)
        arguments = ["fit", *(argument for name in configs for argument in ("--config", name))]
        return [*arguments, *(f"--{name}={as_argument(value)}" for name, value in options.items())]


def run_name(names: Iterable[str], seed: int) -> str:
    """Return the name of a run.

    Args:
        names: The names of its variants.
        seed: Its seed.

    Example:
        >>> run_name(["gru", "delay 4"], 0)
        'gru-delay_4-seed0'
    """
    return "-".join(re.sub(r"[^\w.+]", "_", part) for part in (*names, f"seed{seed}"))


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return two nested sections as one; a value of ``update`` replaces the value of ``base``.

    A section with another class replaces the whole section.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
        >>> merge({"class_path": "GRU", "size": 3}, {"class_path": "LSTM"})
        {'class_path': 'LSTM'}
    """
    classes = {section["class_path"] for section in (base, update) if "class_path" in section}
    merged = dict(base) if len(classes) < 2 else {}
    for name, value in update.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def as_time(minutes: float) -> str:
    """Return minutes in the format of Lightning's ``max_time``.

    Example:
        >>> as_time(1.5)
        '00:00:01:30'
    """
    seconds = round(60 * minutes)
    return f"00:{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def as_argument(value: Any) -> str:
    """Return a value of a YAML as text for the command line.

    Example:
        >>> as_argument(None), as_argument([1, 2]), as_argument("a b")
        ('null', '[1, 2]', 'a b')
    """
    if isinstance(value, str):
        return value
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()
