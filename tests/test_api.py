"""Training and loading from Python, compared with the commands."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnn_tasks
from rnn_tasks.api import arguments_of, overlay
from rnn_tasks.errors import DivergedError, UsageError
from rnn_tasks.runs.files import read_summary
from tests.helpers.command_line import SMALL, RnnTasks

OPTIONS: dict[str, Any] = {
    "trainer.max_steps": 4,
    "trainer.val_check_interval": 2,
    "trainer.log_every_n_steps": 2,
    "data.batch_size": 4,
    "data.val_sequences": 9,
    "data.test_sequences": 9,
    "model.core.hidden_size": 8,
}
"""The options of ``SMALL`` as ``train`` takes them."""


@pytest.fixture
def runs(trained_logs: Path, working_folder: Path) -> Path:
    """Work in a folder that holds a run of each task."""
    shutil.copytree(trained_logs, "lightning_logs")
    return working_folder


def figures(folder: Path) -> dict[str, Any]:
    return {name: value for name, value in read_summary(folder).items() if name != "seconds"}


def test_train_runs_what_the_command_runs(rnn_tasks: RnnTasks, working_folder: Path) -> None:
    import rnn_tasks as package

    run = package.train("echo", model="gru", seed=1, **OPTIONS, **{"data.delay": 8})
    rnn_tasks("fit", "--config=echo", "--config=models/gru", "--seed_everything=1", *SMALL, "--data.delay=8")
    folder = Path("lightning_logs/echo/version_1")
    assert run.folder == working_folder / "lightning_logs/echo/version_0"
    assert run.summary == read_summary(run.folder)
    assert figures(run.folder) == figures(folder)
    assert (run.folder / "config.yaml").read_text() == (folder / "config.yaml").read_text()
    weights = package.load(folder).network.state_dict()
    for name, weight in run.network.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_train_leaves_the_process_as_it_was(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["notebook", "-f", "connection.json"])

    def state() -> list[Any]:
        handlers = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
        generators = [random.getstate(), torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()]  # type: ignore[index]
        return [
            handlers,
            generators,
            list(warnings.filters),
            dict(os.environ),
            threading.excepthook,
            torch.get_num_threads(),
            os.getcwd(),
            sys.argv,
        ]

    before = state()
    rnn_tasks.train("echo", **OPTIONS, num_threads=2)
    assert state() == before
    with pytest.raises(DivergedError):
        rnn_tasks.train("echo", **OPTIONS | {"model.optimizer.lr": 1e30, "model.core.activation": "identity"})
    assert state() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data.dealy": 3}, "data: unknown option 'dealy'; did you mean 'delay'?"),
        ({"model": "gruu"}, "no config models/gruu; did you mean 'models/gru'?"),
        ({"data.delay": 1000}, "delay must be at least 0 and below sequence_length (15), got 1000"),
        ({"data.delay": {1, 2}}, "data.delay must be a number, a string, None, or a list or dictionary of them"),
        ({"seed": -1}, "seed_everything must be at least 0 and at most 4294967295, got -1"),
    ],
)
def test_train_raises_a_usage_error(working_folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        rnn_tasks.train("echo", **options)
    assert message in str(raised.value)
    assert not Path("lightning_logs").exists()


def test_ctrl_c_in_train_raises_keyboard_interrupt(working_folder: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    interrupt: dict[str, Any] = {"class_path": "tests.helpers.interruptions.Interrupt"}
    interrupt |= {"init_args": {"hook": "on_train_batch_end", "batch": 2, "kind": "SIGINT"}}
    with pytest.raises(KeyboardInterrupt):
        rnn_tasks.train("echo", **OPTIONS | {"trainer.callbacks+": interrupt})
    assert signal.getsignal(signal.SIGINT) is handler
    assert rnn_tasks.load("echo").summary["stopped"] == "interrupted"


def test_overlay_is_a_name_or_a_path() -> None:
    assert [overlay(name) for name in ("gru", "mine.yaml", "mine/gru.yaml", "published/copy_rnn")] == [
        "models/gru",
        "mine.yaml",
        "mine/gru.yaml",
        "published/copy_rnn",
    ]


def test_arguments_of_writes_yaml() -> None:
    options = {"a": None, "b": True, "c": 1e-5, "d": "text", "e": [1, "x"], "f": {"g": 2}, "h": Path("folder/file")}
    assert [argument.partition("=")[2] for argument in arguments_of(options)] == [
        "null",
        "true",
        "1e-05",
        "text",
        '[1, "x"]',
        '{"g": 2}',
        "folder/file",
    ]


def test_respond_is_that_of_the_command(runs: Path, trained_logs: Path, rnn_tasks: RnnTasks) -> None:
    import rnn_tasks as package

    run = package.load("variable_delay_echo")
    printed = rnn_tasks("respond", "variable_delay_echo", "abcab", "bca", "--delay", "2").out.splitlines()
    assert run.respond(["abcab", "bca"], delay=2) == printed
    assert run.respond("abcab", delay=2) == printed[0]
    with pytest.raises(UsageError, match="several delays"):
        run.respond("abc")
    with pytest.raises(UsageError, match="has no strings"):
        package.load("adding").respond("abc")
    with pytest.raises(UsageError, match=r"use generate\(\)"):
        package.load("elman_grammar").respond("abc")


def test_generate_is_that_of_the_command(runs: Path, rnn_tasks: RnnTasks) -> None:
    import rnn_tasks as package

    run = package.load("time_machine")
    text = rnn_tasks("generate", "time_machine", "--prefix=time", "--length=30", "--temperature=0.5", "--seed=3").out
    assert run.generate("time", length=30, temperature=0.5, seed=3) == text.removesuffix("\n")
    assert run.generate(length=0) == run.network.spec.vocabulary.prefix  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"use respond\(\)"):
        package.load("echo").generate("abc")


@pytest.mark.parametrize(("task", "text"), [("echo", "abcab"), ("copy", "0123"), ("time_machine", "time")])
def test_states_decide_the_answers(runs: Path, task: str, text: str) -> None:
    run = rnn_tasks.load(task)
    states = run.states(text)
    spec = run.network.spec
    if spec.codec is not None:
        steps = spec.codec.lengths([text])[0]
        expected = "".join(run.respond(text))
        symbols = run.network.read_out(torch.tensor(states)[None]).argmax(-1)
        answer = spec.codec.decode_outputs(symbols)[0]
        assert [a for a, b in zip(answer, expected, strict=True) if b != " "] == list(expected.replace(" ", ""))
    else:
        steps = len(text)
    assert states.shape == (steps, run.network.core.hidden_size)
    assert not np.array_equal(states[0], states[-1])


def test_load_finds_runs_as_the_commands_do(runs: Path) -> None:
    folder = runs / "lightning_logs/echo/version_0"
    weights = rnn_tasks.load("echo").network.state_dict()
    for name in (folder, str(folder), folder / "checkpoints/best.ckpt"):
        run = rnn_tasks.load(name)
        assert run.folder == folder
        assert all(torch.equal(weight, weights[key]) for key, weight in run.network.state_dict().items())
    with pytest.raises(UsageError, match="no run 'ecko'"):
        rnn_tasks.load("ecko")


def test_load_needs_trust_for_foreign_classes(working_folder: Path) -> None:
    Path("my_layer.py").write_text(
        "from rnn_tasks.cores import GRU\nopen('executed', 'w').close()\nclass MyLayer(GRU): pass\n"
    )
    trained = rnn_tasks.train("echo", **{**OPTIONS, "model.core": "my_layer.MyLayer"})
    answer = trained.respond("abcabca")
    del sys.modules["my_layer"]
    Path("executed").unlink()
    with pytest.raises(UsageError, match="add --trust"):
        rnn_tasks.load("echo")
    assert not Path("executed").exists()
    assert rnn_tasks.load("echo", trust=True).respond("abcabca") == answer


@pytest.mark.slow
def test_load_does_not_import_lightning(runs: Path) -> None:
    program = (
        "import sys, rnn_tasks; assert 'torch' not in sys.modules; run = rnn_tasks.load('echo'); run.respond('abcabc');"
        "run._repr_html_(); assert not {'lightning', 'tensorboard'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_package_lists_what_it_exports() -> None:
    assert {"load", "train", "TrainedRun"} <= set(dir(rnn_tasks))
    assert not hasattr(rnn_tasks, "lode")
