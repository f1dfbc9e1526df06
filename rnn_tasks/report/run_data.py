"""Load the runs of a report: networks, test sequences, snapshots and logged values."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

import rnn_tasks.tasks  # noqa: F401  # jsonargparse resolves short class names in config.yaml among imported classes
from rnn_tasks.analysis.snapshots import SNAPSHOTS, Snapshots, alphabet, output_alphabet, read_snapshots
from rnn_tasks.errors import UsageError, brief, require
from rnn_tasks.networks import Network
from rnn_tasks.runs.checkpoints import read_checkpoint
from rnn_tasks.runs.curves import Curve, read_curves
from rnn_tasks.runs.data_text import data_text
from rnn_tasks.runs.files import SUMMARY, read_summary
from rnn_tasks.runs.find import RunLocation, best_checkpoint, read_config, section
from rnn_tasks.runs.trained_network import build_network, load_network
from rnn_tasks.runs.trust import require_known_classes
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.spec.batch import joined
from rnn_tasks.tasks import Task
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.language_task import LanguageTask, cut_rows

T = TypeVar("T")

MAX_SEQUENCES, MIN_SEQUENCES, MAX_STEPS = 512, 16, 60_000
"""Bounds of the number of test sequences, and approximate largest number of their time steps together."""

TEXT_ROWS, TEXT_LENGTH = 40, 256
"""Number of pieces of a text, and their length in characters."""

TASK_PARTS = "parts that need the data of the task"
"""The name of what is missing if the task of a run cannot be built."""


@dataclass(frozen=True)
class RunData:
    """A run as the sections of a report use it: its network, its data, and its recordings.

    Attributes:
        label: The name of the run in legends, unique in a report.
        folder: The run folder.
        config: The contents of config.yaml.
        summary: The contents of summary.json; empty if the file does not exist.
        network: The trained network, on the CPU, in evaluation mode.
        untrained: The network before training.
        checkpoint: The file of the weights.
        task: The task; None if it cannot be built.
        batch: Test sequences on which the network is evaluated; None without a task.
        snapshots: The snapshots of a SnapshotRecorder; None without one.
        curves: The logged values by name, such as ``val/loss``.
        missing: One line for each part that the run does not have, with the reason.
        trained_steps: Optimizer steps after which the weights were saved; None if unknown.
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
    trained_steps: int | None = None

    @property
    def letter(self) -> str:
        """The letter of the run in a report of several runs, such as ``A``."""
        return letter_of(self.label)

    @property
    def task_name(self) -> str:
        """The name of the task, else the class of the data."""
        data = section(self.config, "data").get("class_path")
        return str(self.summary.get("task") or data or "an unknown task")

    @property
    def core(self) -> str:
        """The class of the recurrent layer, followed by the constraint if there is one."""
        layer = type(getattr(self.network.core, "layer", self.network.core)).__name__
        constraint = constraint_of(self.config)
        return f"{layer}, {constraint}" if constraint else layer

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The printed form of each input symbol; empty if the task has none."""
        return alphabet(self.network.spec)

    @property
    def output_alphabet(self) -> tuple[str, ...]:
        """The printed form of each output symbol; empty if the task has none."""
        return output_alphabet(self.network.spec)

    @property
    def recall_lag(self) -> int | None:
        """Steps between reading and recalling a symbol; None if they vary, or if the answers are not earlier inputs."""
        codec = self.network.spec.codec
        if codec is None or codec.min_delay != codec.max_delay or codec.answer_at or codec.output_symbols:
            return None
        lag = codec.min_delay + codec.answer_per_letter * codec.num_letters
        return lag if self.batch is not None and recalls(self.batch, lag) else None

    def characters(self, symbols: Sequence[int]) -> list[str]:
        """Return the printed form of symbols; an empty list if the task has none."""
        alphabet = self.alphabet
        return [alphabet[symbol] for symbol in symbols] if alphabet else []


def recalls(batch: Batch, lag: int) -> bool:
    """Return whether the answer at each step that needs memory is the input symbol of ``lag`` steps earlier.

    Args:
        batch: The sequences, with symbols as inputs and targets.
        lag: The lag in steps, ``>= 0``.

    Example:
        >>> import torch
        >>> batch = Batch(torch.tensor([[1, 2, 3]]), torch.tensor([[-100, -100, 1]]))
        >>> recalls(batch, 2), recalls(batch, 1)
        (True, False)
    """
    batch = batch.expanded()
    needed = batch.needs_memory
    earlier = batch.inputs.roll(lag, 1)
    return not needed[:, :lag].any() and bool((earlier == batch.targets)[needed].all())


def letter_of(label: str) -> str:
    """Return the letter of a run from its label.

    Example:
        >>> letter_of("A: GRU, frozen")
        'A'
    """
    return label.partition(":")[0]


def in_double_precision(network: Network) -> Network:
    """Return a copy of a network in double precision, for gradients that shrink by many powers of ten.

    Args:
        network: The network.
    """
    return deepcopy(network).double()


def constraint_of(config: dict[str, Any]) -> str:
    """Return the class name of the constraint of a run; empty without a constraint."""
    return str(section(config, "constraint").get("class_path", "")).rpartition(".")[2]


def load_runs(places: Sequence[RunLocation], trust: bool = False) -> list[RunData]:
    """Load the runs of a report.

    Args:
        places: The run folders or checkpoints, at least one.
        trust: Whether the config of a run may name classes of other packages, see
            :func:`rnn_tasks.runs.trained_network.load_network`.

    Raises:
        UsageError: A run is broken or needs trust, or the runs are of different tasks.
    """
    runs = [load_run(place, label, trust) for place, label in zip(places, run_labels(places), strict=True)]
    tasks = sorted({str(section(run.config, "data").get("class_path")) for run in runs})
    require(len(tasks) == 1, f"a report compares runs of one task, not of {', '.join(tasks)}")
    return runs


def run_labels(places: Sequence[RunLocation]) -> list[str]:
    """Return the labels of runs: the folder of a single run; a letter and the layer of each of several runs.

    Example:
        >>> run_labels([RunLocation(Path("lightning_logs/echo/version_3"))])
        ['echo/version_3']
    """
    if len(places) == 1:
        return ["/".join(places[0].folder.resolve().parts[-2:])]
    return [f"{chr(ord('A') + index)}: {short_core(read_config(place.folder))}" for index, place in enumerate(places)]


def short_core(config: dict[str, Any]) -> str:
    """Return the names of the layer and the constraint of a run; without a constraint, the start of the matrix."""
    core = section(section(config["model"], "init_args"), "core")
    options = section(core, "init_args")
    name = layer_in(core)
    if name == "Blocks":
        name = f"{options.get('depth', 2)} blocks of {layer_in(section(options, 'core'))}"
    constraint = constraint_of(config) or (options.get("orthogonal_map") or "")
    if options.get("freeze_recurrent"):
        constraint = "frozen"
    start = str(section(options, "recurrent_init").get("class_path", "")).rpartition(".")[2]
    detail = constraint or (f"{start} start" if start else "")
    return f"{name}, {detail}" if detail else name


def layer_in(core: dict[str, Any]) -> str:
    """Return the class name of the layer in a section ``core`` of a config."""
    layer = section(core, "init_args").get("layer") or core.get("class_path", "network")
    return str(layer).rpartition(".")[2]


def run_facts(run: RunData) -> list[tuple[str, str]]:
    """Return the names and the values of the facts about a run, for a table.

    Args:
        run: The run.

    Raises:
        UsageError: The section data of config.yaml is damaged.
    """

    def summary_value(name: str) -> str:
        value = run.summary.get(name)
        return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    return [
        ("task", data_text(run.config)),
        ("verdict", summary_value("verdict").replace("_", " ")),
        ("network", run.core),
        ("units", f"{run.network.core.hidden_size:,}"),
        ("parameters", f"{sum(p.numel() for p in run.network.parameters()):,}"),
        ("optimizer steps", summary_value("steps")),
        ("validation solved at step", summary_value("solved_at")),
        ("seed", summary_value("seed")),
        ("run folder", run.folder.resolve().name),
        ("checkpoint", run.checkpoint.name),
    ]


def load_run(place: RunLocation, label: str, trust: bool = False) -> RunData:
    """Load a run.

    Args:
        place: The run folder or a checkpoint.
        label: The label of the run.
        trust: As for :func:`load_runs`.

    Raises:
        UsageError: The run is broken, has no checkpoint, or needs trust.
    """
    missing: list[str] = []
    config = read_config(place.folder)
    for name in ("data", "trainer", "constraint"):
        section(config, name)
    summary = read_summary(place.folder)
    seed = config.get("seed_everything") or 0
    seed = summary.get("seed") or 0 if seed is True else seed  # true: Lightning has chosen the seed
    require(type(seed) is int and 0 <= seed < 2**63, "config.yaml is damaged: seed_everything is not a number")
    config = {**config, "seed_everything": seed}
    if not trust:
        require_known_classes(config, place.folder)
    network = load_network(place, trust, must_be_finite=False)
    if not summary:
        missing.append(f"verdict and test results: the run has no {SUMMARY} yet; resume the run to complete it")
    task = attempt(missing, TASK_PARTS, lambda: build_task(config, network.spec))
    batch = None if task is None else attempt(missing, "parts that need test sequences", lambda: evaluation_batch(task))
    snapshots = None
    if (place.folder / SNAPSHOTS).exists():
        snapshots = read_snapshots(place.folder / SNAPSHOTS)
    else:
        missing.append("snapshots during training: the run had no SnapshotRecorder (train with --config watch)")
    checkpoint = place.checkpoint or best_checkpoint(place.folder)
    return RunData(
        label=label,
        folder=place.folder,
        config=config,
        summary=summary,
        network=network,
        untrained=build_network(config["model"], network.spec, seed=seed),
        checkpoint=checkpoint,
        task=task,
        batch=batch,
        snapshots=snapshots,
        curves=read_curves(place.folder),
        missing=missing,
        trained_steps=read_checkpoint(checkpoint).get("global_step"),
    )


def build_task(config: dict[str, Any], spec: TaskSpec) -> Task:
    """Build the task of a run with the seed of the run.

    Args:
        config: The contents of config.yaml.
        spec: The task specification of the network.

    Raises:
        UsageError: The task cannot be built, its data is missing, or the task differs from that of the training.
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
            "the task differs from that of the training: the text or the section data of config.yaml has changed",
        )
    except ArgumentError as error:
        raise UsageError(f"section data of config.yaml: {brief(str(error))}") from error
    except ValueError as error:
        raise UsageError(brief(str(error))) from error
    return task


def evaluation_batch(task: Task) -> Batch:
    """Return the first test sequences, or for a text consecutive pieces of its beginning.

    Args:
        task: The task.

    Raises:
        UsageError: The text is too short, or there are no test sequences.
    """
    if isinstance(task, LanguageTask):
        symbols = task.symbols("test")[: TEXT_ROWS * TEXT_LENGTH + 1]
        require(len(symbols) > 8 * 16, f"a report needs a test text of at least 129 characters, got {len(symbols)}")
        length = min(TEXT_LENGTH, (len(symbols) - 1) // 8)
        return cut_rows(symbols, length)
    parts: list[Batch] = []
    for batch in task.predict_dataloader():
        time = batch.inputs.shape[1]
        count = min(MAX_SEQUENCES, max(MIN_SEQUENCES, MAX_STEPS // time))
        if parts and time != parts[0].inputs.shape[1]:
            break
        parts.append(batch.one_per_input(at_least=MIN_SEQUENCES))
        if sum(len(part.inputs) for part in parts) >= count:
            return joined(parts).rows(0, count)
    require(bool(parts), "the task has no test sequences")
    return joined(parts)


def attempt(missing: list[str], what: str, compute: Callable[[], T]) -> T | None:
    """Call a function and return its result. If it raises, append a line about the missing part and return None.

    Args:
        missing: Lines about missing parts, to which this function may append.
        what: The name of the part.
        compute: The function; it raises UsageError if the run does not have the part.
    """
    try:
        return compute()
    except UsageError as error:
        missing.append(f"{what}: {brief(str(error))}")
    except Exception as error:  # a custom layer may raise any exception
        missing.append(f"{what}: this layer does not support it ({brief(str(error)) or type(error).__name__})")
    return None
