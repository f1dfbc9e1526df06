"""Load what a report needs of runs: networks, data, and what was recorded."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

import rnn_tasks.tasks  # noqa: F401  # short names in config.yaml are those of imported classes
from rnn_tasks.analysis.snapshots import SNAPSHOTS, Snapshots, alphabet, read_snapshots
from rnn_tasks.errors import UsageError, brief, require
from rnn_tasks.networks import Network
from rnn_tasks.runs.files import SUMMARY, read_summary
from rnn_tasks.runs.find import RunPlace, best_checkpoint, read_config
from rnn_tasks.runs.tensorboard_log import Curve, read_curves
from rnn_tasks.runs.trained_network import build_network, load_network
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.language_task import LanguageTask, cut_rows

T = TypeVar("T")

MAX_SEQUENCES, MIN_SEQUENCES, MAX_STEPS = 512, 16, 60_000
"""Sequences that a network is looked at on, and about how many time steps they may have in all."""

TEXT_ROWS, TEXT_LENGTH = 40, 256
"""Pieces of a text, and their characters."""


@dataclass(frozen=True)
class RunData:
    """Everything that the sections of a report need of a run: its network, its data, and what was recorded.

    Attributes:
        label: Its name in legends, unlike those of the others.
        folder: The run folder.
        config: Its config.yaml.
        summary: Its summary.json; empty if it has none.
        network: The network, on the CPU, in evaluation mode.
        untrained: One of the same kind as training begins.
        checkpoint: The file that its weights are from.
        task: Its task; None if it cannot be built.
        batch: Test sequences that the network is looked at on; None without a task.
        snapshots: What a recorder has kept; None if there was none.
        curves: What was logged, by name, such as ``val/loss``.
        missing: What the run lacks, a line each.
    """

    label: str
    folder: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    network: Network
    untrained: Network
    checkpoint: Path
    task: Task | None
    batch: Batch | None
    snapshots: Snapshots | None
    curves: dict[str, Curve]
    missing: list[str] = field(default_factory=list)

    @property
    def letter(self) -> str:
        """What its label begins with among others, for narrow places."""
        return self.label.partition(":")[0]

    @property
    def task_name(self) -> str:
        """The name of its task, or else the class of its data."""
        data = section(self.config, "data").get("class_path")
        return str(self.summary.get("task") or data or "an unknown task")

    @property
    def core(self) -> str:
        """The class of its recurrent layer, of a foreign one its own, and its constraint if it has one."""
        layer = type(getattr(self.network.core, "layer", self.network.core)).__name__
        constraint = constraint_of(self.config)
        return f"{layer}, {constraint}" if constraint else layer

    @property
    def alphabet(self) -> tuple[str, ...]:
        """How its symbols are shown; empty if the task does not say."""
        return alphabet(self.network.spec)

    @property
    def wait(self) -> int | None:
        """Steps between reading a symbol and answering it, where they are always the same; None if not or not known."""
        codec = self.network.spec.codec
        if codec is None or codec.min_delay != codec.max_delay:
            return None
        return codec.min_delay + codec.answer_per_letter * codec.num_letters

    def shown(self, symbols: Sequence[int]) -> list[str]:
        """Symbols as characters; empty if the task does not say how."""
        known = self.alphabet
        return [known[symbol] for symbol in symbols] if known else []


def doubled(network: Network) -> Network:
    """Return a copy in double precision, which still holds what has shrunk by many powers of ten.

    Args:
        network: The network.
    """
    return deepcopy(network).double()


def constraint_of(config: dict[str, Any]) -> str:
    """Return the class of a run's constraint; empty without one."""
    return str(section(config, "constraint").get("class_path", "")).rpartition(".")[2]


def section(config: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a section of a config; an empty one if there is none.

    Raises:
        UsageError: It is something else.
    """
    found = config.get(name)
    require(found is None or isinstance(found, dict), f"config.yaml is damaged: {name} is no section")
    return found or {}


def load_runs(places: Sequence[RunPlace]) -> list[RunData]:
    """Load the runs of a report.

    Args:
        places: At least one.

    Raises:
        UsageError: One is broken, or they are of different tasks.
    """
    runs = [load_run(place, letter) for place, letter in zip(places, labels(places), strict=True)]
    tasks = sorted({str(section(run.config, "data").get("class_path")) for run in runs})
    require(len(tasks) == 1, f"side by side are runs of one task, not of {', '.join(tasks)}")
    return runs


def labels(places: Sequence[RunPlace]) -> list[str]:
    """Return names of runs: the folder of a single run; a letter and the network of each of several runs.

    Example:
        >>> labels([RunPlace(Path("lightning_logs/echo/version_3"))])
        ['echo/version_3']
    """
    if len(places) == 1:
        return ["/".join(places[0].folder.resolve().parts[-2:])]
    return [f"{chr(ord('A') + index)}: {network_of(read_config(place.folder))}" for index, place in enumerate(places)]


def network_of(config: dict[str, Any]) -> str:
    """Return the layer and the constraint of a run in short; without a constraint, how the recurrent matrix starts."""
    core = section(section(config["model"], "init_args"), "core")
    options = section(core, "init_args")
    name = str(options.get("layer") or core.get("class_path", "network")).rpartition(".")[2]
    constraint = constraint_of(config) or (options.get("orthogonal_map") or "")
    if options.get("freeze_recurrent"):
        constraint = "frozen"
    start = section(options, "recurrent_init").get("class_path", "").rpartition(".")[2]
    detail = constraint or (f"{start} start" if start else "")
    return f"{name}, {detail}" if detail else name


def load_run(place: RunPlace, label: str) -> RunData:
    """Load a run.

    Args:
        place: The run, or a checkpoint of it.
        label: Its name.

    Raises:
        UsageError: It is broken, or has no checkpoint.
    """
    missing: list[str] = []
    config = read_config(place.folder)
    for name in ("data", "trainer", "constraint"):
        section(config, name)
    seed = config.get("seed_everything") or 0
    require(type(seed) is int and seed >= 0, "config.yaml is damaged: seed_everything is no number")
    network = load_network(place)
    summary = read_summary(place.folder)
    if not summary:
        missing.append(f"verdict and test figures: there is no {SUMMARY} yet; resume the run to have it ended")
    task = attempt(missing, "what needs the task's data", lambda: build_task(config, network.spec))
    snapshots = None
    if (place.folder / SNAPSHOTS).exists():
        snapshots = read_snapshots(place.folder / SNAPSHOTS)
    else:
        missing.append("what is seen only while a network learns: no SnapshotRecorder was there (--config watch)")
    return RunData(
        label=label,
        folder=place.folder,
        config=config,
        summary=summary,
        network=network,
        untrained=build_network(config["model"], network.spec, seed=seed),
        checkpoint=place.checkpoint or best_checkpoint(place.folder),
        task=task,
        batch=None if task is None else attempt(missing, "what needs test sequences", lambda: sequences(task)),
        snapshots=snapshots,
        curves=read_curves(place.folder),
        missing=missing,
    )


def build_task(config: dict[str, Any], spec: TaskSpec) -> Task:
    """Build the task of a run, with the run's seed.

    Args:
        config: Its config.yaml.
        spec: The symbols that its network knows.

    Raises:
        UsageError: It cannot be built, its data is not there, or it is not what the network was trained on.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Task, "data")
    try:
        task: Task = parser.instantiate(parser.parse_object({"data": config.get("data")})).data
        if isinstance(task, GeneratedTask | LanguageTask) and task.seed is None:
            task.seed = config.get("seed_everything") or 0
        task.prepare_data()
        task.setup("test")
        task.check()
        require(
            task.spec == spec,
            "it is not what the network was trained on: the text, or the section data of config.yaml, has changed",
        )
    except ArgumentError as error:
        raise UsageError(f"section data of config.yaml: {brief(str(error))}") from error
    except ValueError as error:
        raise UsageError(brief(str(error))) from error
    return task


def sequences(task: Task) -> Batch:
    """Return test sequences to evaluate a network on: the first ones, or consecutive pieces of the text.

    Args:
        task: The task.

    Raises:
        UsageError: A text that is too short.
    """
    if isinstance(task, LanguageTask):
        symbols = task.symbols("test")[: TEXT_ROWS * TEXT_LENGTH + 1]
        require(len(symbols) > 8 * 16, f"the test text has {len(symbols)} characters, too few to look at a network on")
        length = min(TEXT_LENGTH, (len(symbols) - 1) // 8)
        return cut_rows(symbols, length)
    found: list[Batch] = []
    for batch in task.test_dataloader():
        time = batch.inputs.shape[1]
        wanted = min(MAX_SEQUENCES, max(MIN_SEQUENCES, MAX_STEPS // time))
        if found and time != found[0].inputs.shape[1]:
            break
        found.append(batch.one_per_input(at_least=MIN_SEQUENCES))
        if sum(len(part.inputs) for part in found) >= wanted:
            return joined(found).rows(0, wanted)
    require(bool(found), "there are no test sequences")
    return joined(found)


def attempt(missing: list[str], what: str, compute: Callable[[], T]) -> T | None:
    """Return what a function computes; None, and one more line about what is missing, if the run does not have it.

    Args:
        missing: Lines, to which one is added.
        what: What cannot be shown then.
        compute: Raises UsageError where the run does not have it; layers of others may raise anything.
    """
    try:
        return compute()
    except UsageError as error:
        missing.append(f"{what}: {brief(str(error))}")
    except Exception as error:  # a custom layer may raise anything
        missing.append(f"{what}: this layer cannot be looked at so ({brief(str(error)) or type(error).__name__})")
    return None
