"""Messages about configs and options: the key, the value, and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import Namespace

from rnn_tasks.cli.checks import check_nulls, check_seed, not_null
from rnn_tasks.cores import GRU
from rnn_tasks.errors import UsageError
from tests.helpers.config_edits import parse, prepare

Refused = Callable[..., str]


@pytest.fixture
def refused(working_folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that returns the message with which the command line refuses arguments."""

    def refuse(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            prepare(["fit", "--config", "echo", *arguments])
        printed = capsys.readouterr().err
        assert ended.value.code == 2
        printed = "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("note: "))
        assert printed.count("\n") == 1
        return printed.removeprefix("rnn-tasks: error: ").rstrip("\n")

    return refuse


CORE = "model: {init_args: {core: %s}}"
ADAM = "model: {init_args: {optimizer: {class_path: Adam, init_args: {%s}}}}"

MESSAGES = {
    "modl: {}": "unknown section 'modl'; did you mean 'model'?",
    "1: 2": "unknown section 1",
    "trainer: 3": "trainer must be a section of options, got 3",
    "trainer: null": "trainer must be a section of options, got null",
    "data: true": "data: must be a Task, that is the name of a class or a section with class_path, got true",
    "model: {init_arg: {core: GRU}}": "model: unknown option 'init_arg'; did you mean 'init_args'?",
    "model: {init_args: {optimiser: {}}}": "model: unknown option 'optimiser'; did you mean 'optimizer'?",
    "model: {init_args: {schedule: {}}}": (
        "model.schedule must not be an empty section: omit it, or name a class by class_path"
    ),
    "data: {dealy: {a: {}}}": "data: unknown option 'dealy'; did you mean 'delay'?",
    "trainer: {max_stepss: {}}": "trainer: unknown option 'max_stepss'; did you mean 'max_steps'?",
    "model: {class_path: 3}": "model.class_path must be the name of a class, got 3",
    "data: {class_path: ''}": "data.class_path must be the name of a class, got ''",
    "data: {init_args: [1]}": "data.init_args must be a section of arguments, got [1]",
    "data: {init_args: }": "data.init_args must be a section of arguments, got null",
    "data: {class_path: Echo, delay: 3}": (
        "data: unknown key 'delay' beside class_path; arguments of the class belong under init_args"
    ),
    "data: {clas_path: Echo, init_args: {}}": (
        "data: unknown key 'clas_path' beside init_args; did you mean 'class_path'?"
    ),
    "data: {init_args: {delay: null}}": "data.delay must not be null; omit it for the default value",
    "data: {init_args: {delay: ''}}": "data.delay: must be an integer, got ''",
    "data: {init_args: {delay: [4]}}": "data.delay: must be an integer, got [4]",
    "trainer: {max_steps: null}": "trainer.max_steps must not be null; omit it for the default value",
    "trainer: {callbacks: [3]}": (
        "trainer.callbacks: must be a Callback, that is the name of a class or a section with class_path, got 3"
    ),
    "trainer: {callbacks+: [{class_path: Timr}]}": "trainer.callbacks: no such class: Timr; did you mean 'Timer'?",
    "trainer: {logger: 3}": "trainer.logger: must be a list or true or false, got 3",
    CORE % "3": "model.core: must be the name of a class, or a section with class_path; got 3",
    CORE % "{class_path: GRUU}": "model.core: no such class: GRUU; did you mean 'GRU'?",
    CORE % "nowhere.GRU": "model.core: no such class: nowhere.GRU",
    CORE % "torch.nn.GRU": "model.core: torch.nn.GRU is not a Core",
    CORE % "{init_args: {hiden_size: 3}}": "model.core: unknown option 'hiden_size'; did you mean 'hidden_size'?",
    CORE % "{class_path: GRU, init_args: {activation: relu}}": (
        "model.core: unknown option 'activation'; "
        "the options are hidden_size, num_layers, dropout, recurrent_init, input_scale, gate_bias"
    ),
    CORE % "{class_path: GRU, init_args: {gate_bias: {class_path: GateBiases, init_args: {biases: {reset: abc}}}}}": (
        "model.core.gate_bias.biases: must be a number, got abc"
    ),
    CORE % "{init_args: {orthogonal_map: ''}}": (
        "model.core.orthogonal_map: must be one of 'matrix_exp', 'cayley', 'householder', null, got ''"
    ),
    CORE % "{class_path: DeltaNet, init_args: {decay: maybe}}": (
        "model.core.decay: must be one of 'learned', 'fixed', null, got maybe"
    ),
    CORE % "{class_path: DeltaNet, init_args: {decay: learnt}}": (
        "model.core.decay: must be one of 'learned', 'fixed', null, got learnt; did you mean 'learned'?"
    ),
    CORE % "{class_path: Blocks, init_args: {core: {class_path: S6, init_args: {hidden_size: 3}}}}": (
        "model.core.core: unknown option 'hidden_size'; it is set by model.core.hidden_size"
    ),
    CORE % "{class_path: Blocks, init_args: {core: {class_path: S6, init_args: {order: 3}}}}": (
        "model.core.core: unknown option 'order'; the options are num_states, dt_min, dt_max"
    ),
    "model: {init_args: {optimiser: Adam}}": "model: unknown option 'optimiser'; did you mean 'optimizer'?",
    "model: {init_args: {optimizer: {class_path: Adan}}}": "model.optimizer: no such class: Adan; did you mean 'Adam'?",
    ADAM % "l_r: 1": "model.optimizer: unknown option 'l_r'; did you mean 'lr'?",
    ADAM % "betas: [1, 2, 3]": "model.optimizer.betas: must be a list of 2 values, got [1, 2, 3]",
    ADAM % "betas: 3": "model.optimizer.betas: must be a list, got 3",
    "seed_everything: -1": "seed_everything must be at least 0 and at most 4294967295, got -1",
}


@pytest.mark.parametrize(("config", "message"), MESSAGES.items())
def test_message_names_the_key_and_the_value(refused: Refused, config: str, message: str) -> None:
    Path("mine.yaml").write_text(config)
    assert refused("--config", "mine.yaml") == message


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seed_everything=-1", "seed_everything must be at least 0 and at most 4294967295, got -1"),
        ("--seed_everything=4294967296", "seed_everything must be at least 0 and at most 4294967295, got 4294967296"),
        ("--seed_everything=1.5", "seed_everything: must be an integer or true or false, got 1.5"),
        ("--seed_everything=null", "seed_everything: must be an integer or true or false, got null"),
        ("--model=LanguageModel", "LanguageModel needs a task on text, such as TimeMachine; "
         "for the other tasks set model: SequenceTagger"),
        ("--data=TimeMachine", "SequenceTagger needs a task on sequences; for a task on text set model: LanguageModel"),
        ("--data=Text", "the task text needs a file: set --data.path FILE"),
        ("--model.core=LanguageModel", "model.core: no such class: LanguageModel"),
        ("--model.core.hidden_size=null", "model.core.hidden_size: must be an integer, got null"),
    ],
)  # fmt: skip
def test_message_about_an_option_is_one_line(refused: Refused, option: str, message: str) -> None:
    assert refused(option) == message


@pytest.mark.parametrize(("value", "seed"), [("4294967295", 2**32 - 1), ("0", 0), ("false", False)])
def test_seed_within_its_bounds_is_accepted(working_folder: Path, value: str, seed: int) -> None:
    assert parse("--config", "echo", f"--seed_everything={value}")["seed_everything"] == seed


def test_seed_true_is_the_seed_of_the_environment(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert parse("--config", "echo", "--seed_everything=true")["seed_everything"] == 7


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_check_seed_rejects_a_seed_out_of_bounds(seed: int) -> None:
    with pytest.raises(UsageError, match=str(seed)):
        check_seed(seed)


def test_not_null_follows_types_and_default_values() -> None:
    assert not_null(GRU) == {"num_layers", "dropout", "input_scale"}
    assert {"lr", "betas", "eps"} <= not_null(torch.optim.Adam)
    assert not {"foreach", "fused", "params"} & not_null(torch.optim.Adam)


def section(**values: Any) -> Namespace:
    """Return a section of a parsed config."""
    return Namespace(**values)  # type: ignore[no-untyped-call]


def test_check_nulls_reaches_nested_classes() -> None:
    scale = namespace(class_path="rnn_tasks.cores.Orthogonal", init_args=namespace(gain=None))
    core = namespace(class_path="rnn_tasks.cores.GRU", init_args=namespace(recurrent_init=scale, gate_bias=None))
    with pytest.raises(UsageError, match=r"^core\.recurrent_init\.gain must not be null"):
        check_nulls(namespace(core=core), {})


def namespace(**values: Any) -> Namespace:
    return Namespace(**values)  # type: ignore[no-untyped-call]
