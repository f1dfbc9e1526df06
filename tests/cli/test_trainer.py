"""The trainer's commands: usage errors, the files of a run, and resuming."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from tests.helpers.command_line import SMALL, RnnTasks

FIT_ECHO = ("fit", "--config", "echo", *SMALL)


def load(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def equal(left: Any, right: Any) -> bool:
    """Return whether two nested structures have equal values, bit for bit."""
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data.delay 15", "delay must be at least 0 and below sequence_length (15), got 15"),
        ("--data.batch_size -1", "batch_size must be at least 1, got -1"),
        ("--model.core.hidden_size -3", "hidden_size must be at least 1, got -3"),
        ("--model.core.hiden_size 3", "model.core: unknown option 'hiden_size'; did you mean 'hidden_size'?"),
        ("--data.dealy 3", "did you mean 'delay'?"),
        ("--trainer.max_step 3", "did you mean 'trainer.max_steps'?"),
        ("--model.core Elmann", "did you mean 'Elman'?"),
        ("--data Ecko", "did you mean 'Echo'?"),
        ("--constraint Reorthogonalise", "did you mean 'Reorthogonalize'?"),
        ("--model.optimizer.lr fast", "model.optimizer.lr: must be a number, got fast"),
        ("--trainer.max_steps many", "trainer.max_steps: must be an integer, got many"),
        ("--seed_everything abc", "seed_everything: must be an integer or true or false, got abc"),
        ("--trainer.devices 0", "`Trainer(devices='0')` value is not a valid input"),
        ("--num_threads 0", "num_threads must be at least 1"),
        ("--config ecko", "no config ecko; did you mean 'echo'?"),
        ("--config nothing", "no config nothing: give the path of a YAML file, or one of adding, automaton, base,"),
        ("--ckpt_path nothing.ckpt", "there is no checkpoint nothing.ckpt"),
        ("--model.schedule WarmupLinear --trainer.max_steps -1 --trainer.max_epochs 1", "set trainer.max_steps"),
    ],
)
def test_usage_error_is_one_line_and_creates_no_run(rnn_tasks: RnnTasks, arguments: str, message: str) -> None:
    result = rnn_tasks("fit", "--config", "echo", *arguments.split())
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert result.err.startswith("rnn-tasks: error: ")
    assert not list(Path().glob("lightning_logs/*/*/checkpoints"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {init_args: {dealy: 3}}", "did you mean 'delay'?"),
        ("trainr: {max_steps: 3}", "did you mean 'trainer'?"),
        ("trainer: {callbacks: [{class_path: StopAtAcuracy}]}", "did you mean 'StopAtAccuracy'?"),
        ("model: {class_path: os.system}", "model"),
        ("a: [b", "mine.yaml is not valid YAML: line 2: "),
    ],
)
def test_error_in_a_config_is_one_line(rnn_tasks: RnnTasks, text: str, message: str) -> None:
    Path("mine.yaml").write_text(text)
    result = rnn_tasks("fit", "--config", "echo", "--config", "mine.yaml")
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_missing_or_unknown_command_is_reported(rnn_tasks: RnnTasks) -> None:
    assert "respond" in rnn_tasks("fitt").err
    assert rnn_tasks().status == 2
    assert "--config echo" in rnn_tasks("fit").err
    result = rnn_tasks("--version")
    assert result.status == 0
    assert result.out.startswith("rnn-tasks ")


def test_unwritable_log_folder_is_one_line(rnn_tasks: RnnTasks) -> None:
    Path("file").write_text("")
    result = rnn_tasks(*FIT_ECHO, "--trainer.logger.save_dir", "file/logs")
    assert result.status == 1
    assert "file/logs" in result.err
    assert result.err.count("\n") == 1


def test_summary_json_contains_the_documented_keys(trained: RnnTasks) -> None:
    summary = json.loads(Path("lightning_logs/echo/version_0/summary.json").read_text())
    assert summary["task"] == "echo"
    assert (summary["model"], summary["core"], summary["seed"]) == ("SequenceTagger", "Elman", 0)
    assert (summary["steps"], summary["sequences"], summary["stopped"]) == (4, 16, "steps")
    assert summary["verdict"] in ("solved", "learning", "at_baseline")
    assert {"val/loss", "val/accuracy", "test/accuracy", "test/loss_share"} <= summary["metrics"].keys()
    weights = load(Path("lightning_logs/echo/version_0/checkpoints/last.ckpt"))["state_dict"]
    assert summary["parameters"] == sum(weight.numel() for weight in weights.values())
    assert summary["baseline"]["accuracy"] == pytest.approx(1 / 26)


def test_equal_commands_give_equal_weights_for_equal_seeds(rnn_tasks: RnnTasks) -> None:
    for seed in ("1", "1", "2"):
        assert rnn_tasks(*FIT_ECHO, "--seed_everything", seed).status == 0
    first, again, other = (
        load(Path(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt"))["state_dict"] for number in range(3)
    )
    assert equal(first, again)
    assert not equal(first, other)


def test_saved_config_trains_the_same_network(trained: RnnTasks) -> None:
    result = trained("fit", "--config", "lightning_logs/echo/version_0/config.yaml")
    assert result.status == 0, result.err
    first, again = (
        load(Path(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt"))["state_dict"] for number in (0, 1)
    )
    assert equal(first, again)


def test_validate_test_and_predict_create_no_run(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    arguments = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/best.ckpt")]
    result = trained("test", *arguments)
    assert result.status == 0, result.err
    measured = json.loads((run / "summary.json").read_text())["metrics"]["test/accuracy"]
    assert f"{measured:.4f}" in result.out
    assert trained("validate", *arguments).status == 0
    assert trained("predict", *arguments).status == 0
    assert [path.name for path in Path("lightning_logs/echo").iterdir()] == ["version_0"]


@pytest.mark.parametrize("stopped", ["steps", "accuracy"])
def test_resume_tests_a_run_killed_after_its_training(trained: RnnTasks, stopped: str) -> None:
    path = Path("lightning_logs/echo/version_0/summary.json")
    whole = json.loads(path.read_text())
    metrics = {name: value for name, value in whole["metrics"].items() if not name.startswith("test/")}
    path.write_text(json.dumps({**whole, "metrics": metrics, "stopped": stopped, "verdict": "learning"}))
    result = trained("resume", "echo")
    assert (result.status, result.err) == (0, "")
    assert "test accuracy" in result.out
    assert json.loads(path.read_text()) == {**whole, "stopped": stopped}


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_damaged_summary_is_reported_in_one_line(trained: RnnTasks, damage: str) -> None:
    Path("lightning_logs/echo/version_0/summary.json").write_text(damage)
    result = trained("resume", "echo")
    assert result.status == 2
    assert "summary.json is damaged; delete it" in result.err
    assert result.err.count("\n") == 1


def test_resumed_run_keeps_its_config_and_its_model(trained: RnnTasks) -> None:
    config = Path("lightning_logs/echo/version_0/config.yaml")
    before = config.read_bytes()
    result = trained("resume", "echo", "--trainer.max_steps", "6")
    assert result.status == 0, result.err
    assert load(config.parent / "checkpoints/last.ckpt")["global_step"] == 6
    assert json.loads((config.parent / "summary.json").read_text())["steps"] == 6
    assert config.read_bytes() == before
    result = trained("resume", "echo", "--trainer.max_steps", "8", "--model.optimizer.lr", "0.5")
    assert result.status == 2
    assert "the model of a resumed run cannot be changed" in result.err


def test_resume_only_prints_a_finished_run(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/last.ckpt")
    before = path.stat().st_mtime_ns
    result = trained("resume", "echo")
    assert result.status == 0
    assert result.out.startswith("echo: ")
    assert path.stat().st_mtime_ns == before


def test_resume_restarts_a_run_without_a_checkpoint(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    whole = load(run / "checkpoints/last.ckpt")["state_dict"]
    for path in (run / "summary.json", *(run / "checkpoints").iterdir()):
        path.unlink()
    assert trained("resume", "echo").status == 0
    assert equal(load(run / "checkpoints/last.ckpt")["state_dict"], whole)
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


def test_damaged_last_checkpoint_is_reported_and_kept(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/last.ckpt")
    path.write_bytes(path.read_bytes()[:500])
    result = trained("resume", "echo", "--trainer.max_steps", "6")
    assert result.status == 2
    assert result.err.count("\n") == 1
    assert path.stat().st_size == 500


def test_diverged_run_keeps_its_last_finite_checkpoint(rnn_tasks: RnnTasks) -> None:
    result = rnn_tasks(*FIT_ECHO, "--trainer.max_steps=40", "--model.optimizer=SGD", "--model.optimizer.lr=1e30",
                     "--model.schedule=null", "--trainer.gradient_clip_val=null", "--model.core.activation=identity",
                     "--trainer.val_check_interval=1")  # fmt: skip
    assert result.status == 1
    assert "the run diverged: the loss is" in result.err
    summary = json.loads(Path("lightning_logs/echo/version_0/summary.json").read_text())
    assert (summary["stopped"], summary["verdict"]) == ("diverged", "diverged")
    for path in Path("lightning_logs/echo/version_0/checkpoints").iterdir():
        assert all(value.isfinite().all() for value in load(path)["state_dict"].values())


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize("kept_keys", [(), ("state_dict",)], ids=["foreign", "weights"])
def test_checkpoint_imports_no_class_and_must_fit(trained: RnnTasks, command: str, kept_keys: tuple[str, ...]) -> None:
    Path("evil.py").write_text("import pathlib\npathlib.Path('imported').touch()\nclass Cell: ...\n")
    run = Path("lightning_logs/echo/version_0")
    real = load(run / "checkpoints/best.ckpt")
    named = {"_class_path": "evil.Cell", "_instantiator": "evil.Cell", "core": {"class_path": "evil.Cell"}}
    torch.save({"state_dict": {}, "hyper_parameters": named, **{key: real[key] for key in kept_keys}}, "evil.ckpt")
    result = trained(command, "--config", str(run / "config.yaml"), "--ckpt_path", "evil.ckpt")
    assert not Path("imported").exists()
    if kept_keys and command == "test":
        assert result.status == 0
    else:
        assert result.status == 2
        assert ("does not fit this network" if not kept_keys else "no state of the optimizer") in result.err
        assert result.err.count("\n") == 1


LAYER = """
import torch
from torch import nn

class Leaky(nn.Module):
    def __init__(self, input_size, hidden_size, leak=0.5):
        super().__init__()
        self.leak = leak
        self.weight_ih = nn.Parameter(torch.randn(hidden_size, input_size) / 4)
        self.weight_hh = nn.Parameter(torch.randn(hidden_size, hidden_size) / 4)

    def forward(self, inputs, state=None):
        hidden = inputs.new_zeros(1, len(inputs), len(self.weight_hh)) if state is None else state
        outputs = []
        for step in inputs.unbind(1):
            new = torch.tanh(step @ self.weight_ih.T + hidden[0] @ self.weight_hh.T)
            hidden = (self.leak * hidden[0] + (1 - self.leak) * new)[None]
            outputs.append(hidden[0])
        return torch.stack(outputs, 1), hidden
"""


@pytest.mark.parametrize(
    "task", ["echo", *(pytest.param(task, marks=pytest.mark.slow) for task in ("copy", "variable_delay_echo"))]
)
def test_foreign_layer_needs_only_yaml(rnn_tasks: RnnTasks, task: str) -> None:
    Path(f"another_{task}.py").write_text(LAYER)
    layer = {"layer": f"another_{task}.Leaky", "options": {"leak": 0.25}}
    core = {"class_path": "Foreign", "init_args": {"hidden_size": 8, **layer}}
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": core}}}))
    result = rnn_tasks("fit", "--config", task, "--config", "mine.yaml", *SMALL)
    assert result.status == 0, result.err
    summary = json.loads(Path(f"lightning_logs/{task}/version_0/summary.json").read_text())
    assert summary["core"] == "Leaky"
    question = ["respond", task, *summary["example"].split()]
    assert rnn_tasks(*question).status == 2
    assert rnn_tasks(*question, "--trust").status == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.accumulate_grad_batches", "3"],
        pytest.param(["--trainer.precision", "bf16-mixed"], marks=pytest.mark.slow),
        pytest.param(["--trainer.gradient_clip_val", "0.1"], marks=pytest.mark.slow),
        pytest.param(["--trainer.profiler", "simple"], marks=pytest.mark.slow),
    ],
)
def test_trainer_options_work_with_reorthogonalize(rnn_tasks: RnnTasks, options: list[str]) -> None:
    result = rnn_tasks("fit", "--config", "copy", *SMALL, *options)
    assert result.status == 0, result.err
    for name in ("best", "last"):
        weights = load(Path(f"lightning_logs/copy/version_0/checkpoints/{name}.ckpt"))["state_dict"]
        weight = weights["network.core.weight_hh_l0"].double()
        assert (weight.T @ weight - torch.eye(8)).abs().max() < 1e-5


def test_tensorboard_contains_curves_samples_and_settings(trained: RnnTasks) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    events = EventAccumulator("lightning_logs/echo/version_0").Reload()
    scalars = set(events.Tags()["scalars"])
    groups = {"val/accuracy", "train/loss", "spectral_norm/weight_hh_l0", "gradient_norm/after_clipping"}
    assert groups | {"throughput/sequences_per_second", "val/baseline_loss"} <= scalars
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"^val/baseline_loss$" in layout
    assert "epoch" not in scalars
    assert "samples/text_summary" in events.Tags()["tensors"]
    content = [
        HParamsPluginData.FromString(events.SummaryMetadata(f"_hparams_/{name}").plugin_data.content)
        for name in ("experiment", "session_start_info")
    ]
    hparams = content[1].session_start_info.hparams
    assert hparams["core"].string_value == "Elman"
    assert hparams["core.hidden_size"].number_value == 8
    assert hparams["seed"].number_value == 0
    shown = [metric.name.tag for metric in content[0].experiment.metric_infos]
    assert shown[0] == "test/accuracy"
    assert set(shown) - {"run/solved_at"} <= scalars


def test_sigterm_in_lightning_gives_the_status_of_the_signal(
    rnn_tasks: RnnTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminate(*_: object) -> None:
        raise SIGTERMException

    monkeypatch.setattr("lightning.pytorch.cli.LightningCLI._run_subcommand", terminate)
    assert rnn_tasks("fit", "--config", "copy").status == 128 + signal.SIGTERM
