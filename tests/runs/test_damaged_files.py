"""Files of a run in which one value was changed: the readers accept the file, or report it in one line."""

import copy
import json
import math
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from torch import Tensor

from rnn_tasks.analysis.snapshots import SNAPSHOTS, from_dict
from rnn_tasks.errors import UsageError
from rnn_tasks.networks import TaggerNetwork
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.checkpoints import training_state_problem
from rnn_tasks.runs.files import BEST, CHECKPOINTS, CONFIG, LAST, SUMMARY, read_summary
from rnn_tasks.runs.find import RunLocation, config_hash
from rnn_tasks.runs.summary_text import closing_lines
from rnn_tasks.runs.trained_network import load_network
from tests.helpers.command_line import RnnTasks, small

RUN = Path("lightning_logs/echo/version_0")

REMOVED = object()
"""Stands for a value that is left out."""

UNUSED = ("validate_loop", "test_loop", "predict_loop")
"""Parts of a checkpoint that nothing reads."""

Path_ = tuple[Any, ...]
"""The keys and indices on the way to a value."""


class Change(NamedTuple):
    """A changed file.

    Attributes:
        path: The keys on the way to the changed value.
        name: The kind of the change.
        contents: The contents of the changed file.
    """

    path: Path_
    name: str
    contents: Any


def nested(levels: int) -> list[Any]:
    """Return a list in a list in a list, and so on."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def replacements(value: Any) -> dict[str, Any]:
    """Return the values that replace a value, by the kind of the change."""
    others = {"removed": REMOVED, "null": None, "nan": math.nan, "list": [], "text": "x", "nested": nested(200)}
    others |= {"section": {"a": 1}, "number": 7.5 if type(value) is int else 7}
    if isinstance(value, Tensor):
        others |= {"shape": torch.zeros((*value.shape, 2), dtype=value.dtype), "scalar": value.new_zeros(())}
        others |= {"complex": value.to(torch.complex64), "integers": value.real.to(torch.int64)}
        others |= {"nan tensor": torch.full_like(value, math.nan)} if value.is_floating_point() else {}
    return others


def paths(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the paths of all values inside a value; of a list only the first item and those with items."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        if isinstance(value, dict) or key == 0 or isinstance(item, dict | list | tuple):
            yield (*path, key)
            yield from paths(item, (*path, key))


def replaced(value: Any, path: Path_, new: Any) -> Any:
    """Return a value in which the value at a path is replaced; the original is unchanged."""
    key, *rest = path
    changed = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        changed[key] = replaced(value[key], tuple(rest), new)
    elif new is REMOVED:
        del changed[key]
    else:
        changed[key] = new
    return tuple(changed) if isinstance(value, tuple) else changed


def changes(contents: Any, skipped: tuple[str, ...] = (), sample: int | None = None) -> list[Change]:
    """Return all changes of one value of a file.

    Args:
        contents: The contents of the file.
        skipped: Keys whose values stay unchanged.
        sample: Number of changes to return, the same ones each time; None for all.
    """
    found = []
    for path in paths(contents):
        if set(skipped).isdisjoint(map(str, path)):
            value = contents
            for key in path:
                value = value[key]
            found += [Change(path, name, replaced(contents, path, new)) for name, new in replacements(value).items()]
    return found if sample is None else random.Random(0).sample(found, min(sample, len(found)))


def failures(changed: list[Change], read: Callable[[Any], object]) -> list[str]:
    """Return a line for each changed file whose reader raises anything but a UsageError of one line."""
    lines = []
    for change in changed:
        try:
            read(change.contents)
        except UsageError as error:
            if "\n" in str(error):
                lines.append(f"{change.path} {change.name}: several lines")
        except Exception as error:
            lines.append(f"{change.path} {change.name}: {type(error).__name__}: {error}")
    return lines


def load(path: Path) -> Any:
    """Return the contents of a file of torch."""
    return torch.load(path, weights_only=True)


@pytest.fixture
def run(trained: RnnTasks) -> Path:
    return RUN


def test_changed_summary_is_reported_in_one_line(run: Path) -> None:
    def read(contents: Any) -> None:
        (run / SUMMARY).write_text(json.dumps(contents))
        closing_lines(read_summary(run), run)

    for task in ("echo", "elman_grammar"):
        summary = json.loads((run.parent.parent / task / "version_0" / SUMMARY).read_text())
        assert failures(changes(summary), read) == []


def test_changed_training_state_is_noticed(run: Path) -> None:
    checkpoint = load(run / CHECKPOINTS / LAST)
    assert training_state_problem(checkpoint) is None
    changed = changes(checkpoint, skipped=UNUSED)
    assert failures(changed, lambda contents: training_state_problem(contents)) == []
    accepted = {change.path for change in changed if change.name == "removed" and not problem(change)}
    needed = [path for path in paths(checkpoint) if path[:2] == ("loops", "fit_loop") or path[0] == "rng"]
    assert {path for path in accepted if path in needed} == {
        ("loops", "fit_loop", "state_dict", "combined_loader"),
        ("loops", "fit_loop", "state_dict", "combined_loader", 0),
        *(("loops", "fit_loop", f"epoch_loop.{loop}.state_dict") for loop in EMPTY_LOOPS),
    }
    assert {path for path in accepted if len(path) == 1} == {("rnn_tasks",)}


EMPTY_LOOPS = ("automatic_optimization", "manual_optimization", "val_loop")
"""Loops of Lightning that save an empty state."""


def problem(change: Change) -> str | None:
    """Return why training cannot continue from a changed checkpoint."""
    return training_state_problem(change.contents)


def read_and_answer(run: Path, contents: Any) -> None:
    """Load the network of a changed best checkpoint, and let it answer."""
    torch.save(contents, run / CHECKPOINTS / BEST)
    network = load_network(RunLocation(run))
    assert isinstance(network, TaggerNetwork)
    if network.spec.codec is not None:  # the command respond needs a codec
        network.respond(network.spec.codec.letters[:4], network.spec.codec.min_delay)


PARTS_OF_TRAINING = ("loops", "callbacks", "optimizer_states", "lr_schedulers", "rng")


@pytest.mark.parametrize("sample", [30, pytest.param(None, marks=pytest.mark.slow)])
def test_changed_network_is_reported_in_one_line(run: Path, sample: int | None) -> None:
    changed = changes(load(run / CHECKPOINTS / BEST), PARTS_OF_TRAINING, sample)
    assert failures(changed, lambda contents: read_and_answer(run, contents)) == []


@pytest.mark.parametrize("sample", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_changed_config_is_reported_in_one_line(run: Path, sample: int | None) -> None:
    def read(contents: Any) -> None:
        (run / CONFIG).write_text(yaml.safe_dump(contents))
        checkpoint["rnn_tasks"]["config"] = config_hash(contents.get("model"))
        torch.save(checkpoint, run / CHECKPOINTS / BEST)
        load_runs([RunLocation(run)])

    checkpoint = load(run / CHECKPOINTS / BEST)
    config = yaml.safe_load((run / CONFIG).read_text())
    read(config)
    kept = {name: config[name] for name in ("model", "data", "constraint", "seed_everything")}
    changed = [change for change in changes(kept, sample=sample) if change.name != "nested"]
    assert failures(changed, read) == []


DAMAGED_YAML = ["model: {a: 2001-13-40}", "model: {a: 2001-01-01}", "model: &x {a: *x}", "model: {1: 2}", "? [a]\n: 1"]


@pytest.mark.parametrize(
    "text", [*DAMAGED_YAML, "model: {a: !!binary aaaa}", "[" * 1500, "model: " + "[" * 70 + "]" * 70]
)
def test_strange_yaml_is_reported_in_one_line(run: Path, text: str) -> None:
    (run / CONFIG).write_text(text)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        load_network(RunLocation(run))


@pytest.fixture(scope="module")
def watched_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run that records snapshots, and return its folder."""
    from rnn_tasks.commands import main

    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["rnn-tasks"])
        main(["fit", "--config", "echo", "--config", "watch", *small("echo")])
    return folder / RUN


def test_changed_snapshots_are_reported_in_one_line(watched_run: Path) -> None:
    snapshots = load(watched_run / SNAPSHOTS)
    changed = changes(snapshots)
    assert failures(changed, from_dict) == []
    assert len(from_dict(snapshots)) == len(snapshots["steps"])


@pytest.mark.slow
@pytest.mark.parametrize(("file", "sample"), [(CONFIG, 8), (SUMMARY, 6), (f"{CHECKPOINTS}/{LAST}", 30), (SNAPSHOTS, 8)])
@pytest.mark.filterwarnings("ignore:.*paths outside its folder", "ignore:The dirpath has changed")
def test_resume_reports_a_changed_file_in_one_line(
    rnn_tasks: RnnTasks, watched_run: Path, file: str, sample: int
) -> None:
    path = RUN / file
    is_text = path.suffix in (".yaml", ".json")
    contents = yaml.safe_load((watched_run / file).read_text()) if is_text else load(watched_run / file)
    changed = changes(contents, UNUSED)
    if path.name == LAST:  # the others are rejected before anything is restored
        changed = [change for change in changed if not problem(change)]
    for change in random.Random(1).sample(changed, sample):
        shutil.rmtree(RUN, ignore_errors=True)
        shutil.copytree(watched_run, RUN)
        if is_text:
            path.write_text(json.dumps(change.contents))  # JSON is YAML, too
        else:
            torch.save(change.contents, path)
        result = rnn_tasks("resume", str(RUN), "--trainer.max_steps=6")
        lines = [line for line in result.err.splitlines() if not line.startswith(("SnapshotRecorder", "GateMonitor"))]
        assert len(lines) == (result.status != 0), (change.path, change.name, result)


def test_changed_copy_leaves_the_original_unchanged() -> None:
    contents = {"a": [1, (2, {"b": torch.ones(2)})]}
    before = copy.deepcopy(contents)
    assert replaced(contents, ("a", 1, 1, "b"), REMOVED) == {"a": [1, (2, {})]}
    assert str(contents) == str(before)
