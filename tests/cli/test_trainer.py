"""The command line: mistakes in one line, what fit leaves behind, resuming."""

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

from rnn_tasks.callbacks import RunSummary
from tests.helpers.command_line import SMALL, RnnTasks, small

ECHO = ("fit", "--config", "echo", *SMALL)


def state(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def equal(left: Any, right: Any) -> bool:
    """Whether two nested structures hold the same values, bit for bit."""
    if isinstance(left, Tensor):
        return torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--data.delay 15", "delay must be at least 0 and below sequence_length (15), got 15"),
        ("--data.batch_size -1", "batch_size must be at least 1, got -1"),
        ("--model.core.hidden_size -3", "hidden_size must be at least 1, got -3"),
        ("--model.core.hiden_size 3", "did you mean 'hidden_size'?"),
        ("--data.dealy 3", "did you mean 'delay'?"),
        ("--trainer.max_step 3", "did you mean 'trainer.max_steps'?"),
        ("--model.core Elmann", "did you mean 'Elman'?"),
        ("--data Ecko", "did you mean 'Echo'?"),
        ("--constraint Reorthogonalise", "did you mean 'Reorthogonalize'?"),
        ("--model.optimizer.lr fast", "lr"),
        ("--trainer.max_steps many", "max_steps"),
        ("--num_threads 0", "num_threads must be at least 1"),
        ("--config ecko", "no config ecko: give a file, or one of"),
        ("--ckpt_path nothing.ckpt", "there is no checkpoint nothing.ckpt"),
        ("--model.schedule WarmupLinear --trainer.max_steps -1 --trainer.max_epochs 1", "set trainer.max_steps"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_run(rnn_tasks: RnnTasks, words: str, said: str) -> None:
    answer = rnn_tasks("fit", "--config", "echo", *words.split())
    assert answer.status == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1
    assert answer.err.startswith("rnn-tasks: error: ")
    assert not list(Path().glob("lightning_logs/*/*/checkpoints"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {init_args: {dealy: 3}}", "did you mean 'delay'?"),
        ("trainr: {max_steps: 3}", "did you mean 'trainer.max_steps'?"),
        ("trainer: {callbacks: [{class_path: StopAtAcuracy}]}", "did you mean 'StopAtAccuracy'?"),
        ("model: {class_path: os.system}", "model"),
        ("a: [b", "parsing"),
    ],
)
def test_a_mistake_in_a_config_is_one_line(rnn_tasks: RnnTasks, text: str, said: str) -> None:
    Path("mine.yaml").write_text(text)
    answer = rnn_tasks("fit", "--config", "echo", "--config", "mine.yaml")
    assert answer.status == 2
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_without_words_or_with_an_unknown_one(rnn_tasks: RnnTasks) -> None:
    assert "respond" in rnn_tasks("fitt").err
    assert rnn_tasks().status == 2
    assert "--config echo" in rnn_tasks("fit").err
    said = rnn_tasks("--version")
    assert said.status == 0
    assert said.out.startswith("rnn-tasks ")


def test_a_folder_that_cannot_be_written_is_one_line(rnn_tasks: RnnTasks) -> None:
    Path("file").write_text("")
    said = rnn_tasks(*ECHO, "--trainer.logger.save_dir", "file/logs")
    assert said.status == 1
    assert "file/logs" in said.err
    assert said.err.count("\n") == 1


def test_summary_json_holds_what_scripts_rely_on(trained: RnnTasks) -> None:
    summary = json.loads(Path("lightning_logs/echo/version_0/summary.json").read_text())
    assert summary["task"] == "echo"
    assert (summary["model"], summary["core"], summary["seed"]) == ("SequenceTagger", "Elman", 0)
    assert (summary["steps"], summary["sequences"], summary["stopped"]) == (4, 16, "steps")
    assert summary["verdict"] in ("solved", "learning", "at_baseline")
    assert {"val/loss", "val/accuracy", "test/accuracy", "test/loss_share"} <= summary["metrics"].keys()
    weights = state(Path("lightning_logs/echo/version_0/checkpoints/last.ckpt"))["state_dict"]
    assert summary["parameters"] == sum(weight.numel() for weight in weights.values())
    assert summary["baseline"]["accuracy"] == pytest.approx(1 / 26)


def test_the_same_command_gives_the_same_bits_and_another_seed_others(rnn_tasks: RnnTasks) -> None:
    for seed in ("1", "1", "2"):
        assert rnn_tasks(*ECHO, "--seed_everything", seed).status == 0
    first, again, other = (
        state(Path(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt"))["state_dict"] for number in range(3)
    )
    assert equal(first, again)
    assert not equal(first, other)


def test_the_saved_config_trains_the_same_network(trained: RnnTasks) -> None:
    said = trained("fit", "--config", "lightning_logs/echo/version_0/config.yaml")
    assert said.status == 0, said.err
    first, again = (
        state(Path(f"lightning_logs/echo/version_{number}/checkpoints/last.ckpt"))["state_dict"] for number in (0, 1)
    )
    assert equal(first, again)


def test_validate_test_and_predict_measure_a_run_and_leave_none_behind(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    words = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/best.ckpt")]
    said = trained("test", *words)
    assert said.status == 0, said.err
    measured = json.loads((run / "summary.json").read_text())["metrics"]["test/accuracy"]
    assert f"{measured:.4f}" in said.out
    assert trained("validate", *words).status == 0
    assert trained("predict", *words).status == 0
    assert [path.name for path in Path("lightning_logs/echo").iterdir()] == ["version_0"]


def without_clock(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint less its seconds and paths."""
    checkpoint["callbacks"] = {
        name: {key: value for key, value in kept.items() if key != "seconds"}
        for name, kept in checkpoint["callbacks"].items()
        if not name.startswith("ModelCheckpoint")
    }
    return checkpoint


class Killed(BaseException):
    """What a test raises where a real process would be killed."""


DROPOUT = ("--model.core", "LSTM", "--model.core.num_layers", "2", "--model.core.dropout", "0.5")


@pytest.mark.parametrize(
    ("more", "kills"),
    [
        pytest.param((), (1, 4), id="plain"),
        pytest.param((), (3, 7), id="plain, others", marks=pytest.mark.slow),
        pytest.param(("--constraint", "Reorthogonalize"), (2, 5), id="qr", marks=pytest.mark.slow),
        pytest.param(DROPOUT, (2, 5), id="dropout", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_that_is_resumed_ends_with_the_same_bits(
    rnn_tasks: RnnTasks, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], kills: tuple[int, int]
) -> None:
    saving = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.filename=last"]
    saving += ["--trainer.callbacks.every_n_train_steps=3", "--trainer.callbacks.enable_version_counter=false"]
    words = [*ECHO, "--trainer.max_steps=8", *saving, *more]
    assert rnn_tasks(*words).status == 0
    whole = without_clock(state(Path("lightning_logs/echo/version_0/checkpoints/last.ckpt")))
    for run, killed_at in enumerate(kills, start=1):

        def kill(self: RunSummary, trainer: Any, *rest: Any, step: int = killed_at) -> None:
            if trainer.global_step == step:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(RunSummary, "on_train_batch_start", kill)
            with pytest.raises(Killed):
                rnn_tasks(*words)
        said = rnn_tasks("resume", "echo")
        assert (said.status, said.err) == (0, "")
        resumed = without_clock(state(Path(f"lightning_logs/echo/version_{run}/checkpoints/last.ckpt")))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks"):
            assert equal(whole[part], resumed[part]), (killed_at, part)
        assert not Path(f"lightning_logs/echo/version_{run + 1}").exists()


@pytest.mark.parametrize("task", [pytest.param("time_machine", marks=pytest.mark.slow), "elman_grammar"])
def test_a_run_on_text_that_is_killed_in_the_middle_of_an_epoch_ends_with_the_same_bits(
    rnn_tasks: RnnTasks, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    saving = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.filename=last"]
    saving += ["--trainer.callbacks.every_n_train_steps=3", "--trainer.callbacks.enable_version_counter=false"]
    words = ["fit", "--config", task, *small(task), "--trainer.max_steps=10", "--model.dropout=0.4", *saving]
    words += ["--trainer.val_check_interval=5"]
    words += ["--data.epoch_length=7"] if task == "elman_grammar" else ["--data.batch_size=500"]  # 7 batches
    assert rnn_tasks(*words).status == 0
    whole = without_clock(state(Path(f"lightning_logs/{task}/version_0/checkpoints/last.ckpt")))
    for run, killed_at in enumerate((2, 5, 9) if task == "time_machine" else (5, 9), start=1):

        def kill(self: RunSummary, trainer: Any, *rest: Any, step: int = killed_at) -> None:
            if trainer.global_step == step:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(RunSummary, "on_train_batch_start", kill)
            with pytest.raises(Killed):
                rnn_tasks(*words)
        said = rnn_tasks("resume", task)
        assert (said.status, said.err) == (0, "")
        resumed = without_clock(state(Path(f"lightning_logs/{task}/version_{run}/checkpoints/last.ckpt")))
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "rnn_tasks"):
            assert equal(whole[part], resumed[part]), (killed_at, part)


@pytest.mark.parametrize("stopped", ["steps", "accuracy"])
def test_a_run_killed_between_its_training_and_its_test_is_tested(trained: RnnTasks, stopped: str) -> None:
    path = Path("lightning_logs/echo/version_0/summary.json")
    whole = json.loads(path.read_text())
    metrics = {name: value for name, value in whole["metrics"].items() if not name.startswith("test/")}
    path.write_text(json.dumps({**whole, "metrics": metrics, "stopped": stopped, "verdict": "learning"}))
    said = trained("resume", "echo")
    assert (said.status, said.err) == (0, "")
    assert "test accuracy" in said.out
    assert json.loads(path.read_text()) == {**whole, "stopped": stopped}


@pytest.mark.parametrize("damage", ["{", "[]", "{}"])
def test_a_damaged_summary_is_one_line(trained: RnnTasks, damage: str) -> None:
    Path("lightning_logs/echo/version_0/summary.json").write_text(damage)
    said = trained("resume", "echo")
    assert said.status == 2
    assert "summary.json is damaged; delete it" in said.err
    assert said.err.count("\n") == 1


def test_a_resumed_run_keeps_its_config_and_its_model(trained: RnnTasks) -> None:
    config = Path("lightning_logs/echo/version_0/config.yaml")
    before = config.read_bytes()
    said = trained("resume", "echo", "--trainer.max_steps", "6")
    assert said.status == 0, said.err
    assert state(config.parent / "checkpoints/last.ckpt")["global_step"] == 6
    assert json.loads((config.parent / "summary.json").read_text())["steps"] == 6
    assert config.read_bytes() == before
    said = trained("resume", "echo", "--trainer.max_steps", "8", "--model.optimizer.lr", "0.5")
    assert said.status == 2
    assert "keeps its model" in said.err


def test_a_finished_run_that_is_resumed_only_says_so(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/last.ckpt")
    before = path.stat().st_mtime_ns
    said = trained("resume", "echo")
    assert said.status == 0
    assert said.out.startswith("echo: ")
    assert path.stat().st_mtime_ns == before


def test_a_run_killed_before_its_first_checkpoint_starts_over_in_its_folder(trained: RnnTasks) -> None:
    run = Path("lightning_logs/echo/version_0")
    whole = state(run / "checkpoints/last.ckpt")["state_dict"]
    for path in (run / "summary.json", *(run / "checkpoints").iterdir()):
        path.unlink()
    assert trained("resume", "echo").status == 0
    assert equal(state(run / "checkpoints/last.ckpt")["state_dict"], whole)
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


def test_a_damaged_last_checkpoint_is_one_line_and_stays(trained: RnnTasks) -> None:
    path = Path("lightning_logs/echo/version_0/checkpoints/last.ckpt")
    path.write_bytes(path.read_bytes()[:500])
    said = trained("resume", "echo", "--trainer.max_steps", "6")
    assert said.status == 2
    assert said.err.count("\n") == 1
    assert path.stat().st_size == 500


def test_a_run_that_diverges_says_so_and_keeps_its_last_good_checkpoint(rnn_tasks: RnnTasks) -> None:
    said = rnn_tasks(*ECHO, "--trainer.max_steps=40", "--model.optimizer=SGD", "--model.optimizer.lr=1e30",
                     "--model.schedule=null", "--trainer.gradient_clip_val=null", "--model.core.activation=identity",
                     "--trainer.val_check_interval=1")  # fmt: skip
    assert said.status == 1
    assert "the run diverged: the loss is" in said.err
    summary = json.loads(Path("lightning_logs/echo/version_0/summary.json").read_text())
    assert (summary["stopped"], summary["verdict"]) == ("diverged", "diverged")
    for path in Path("lightning_logs/echo/version_0/checkpoints").iterdir():
        assert all(value.isfinite().all() for value in state(path)["state_dict"].values())


@pytest.mark.parametrize("command", ["fit", "test"])
@pytest.mark.parametrize("keep", [(), ("state_dict",)], ids=["foreign", "weights"])
def test_a_checkpoint_names_no_class_and_must_fit(trained: RnnTasks, command: str, keep: tuple[str, ...]) -> None:
    Path("evil.py").write_text("import pathlib\npathlib.Path('imported').touch()\nclass Cell: ...\n")
    run = Path("lightning_logs/echo/version_0")
    real = state(run / "checkpoints/best.ckpt")
    named = {"_class_path": "evil.Cell", "_instantiator": "evil.Cell", "core": {"class_path": "evil.Cell"}}
    torch.save({"state_dict": {}, "hyper_parameters": named, **{key: real[key] for key in keep}}, "evil.ckpt")
    said = trained(command, "--config", str(run / "config.yaml"), "--ckpt_path", "evil.ckpt")
    assert not Path("imported").exists()
    if keep and command == "test":
        assert said.status == 0
    else:
        assert said.status == 2
        assert ("does not fit this network" if not keep else "no state of a training") in said.err
        assert said.err.count("\n") == 1


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
def test_a_layer_of_another_package_is_named_only_in_yaml(rnn_tasks: RnnTasks, task: str) -> None:
    Path(f"another_{task}.py").write_text(LAYER)
    layer = {"layer": f"another_{task}.Leaky", "options": {"leak": 0.25}}
    core = {"class_path": "Foreign", "init_args": {"hidden_size": 8, **layer}}
    Path("mine.yaml").write_text(yaml.safe_dump({"model": {"init_args": {"core": core}}}))
    said = rnn_tasks("fit", "--config", task, "--config", "mine.yaml", *SMALL)
    assert said.status == 0, said.err
    summary = json.loads(Path(f"lightning_logs/{task}/version_0/summary.json").read_text())
    assert summary["core"] == "Leaky"
    assert rnn_tasks("respond", *[task, *summary["example"].split()]).status == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.accumulate_grad_batches", "3"],
        pytest.param(["--trainer.precision", "bf16-mixed"], marks=pytest.mark.slow),
        pytest.param(["--trainer.gradient_clip_val", "0.1"], marks=pytest.mark.slow),
        pytest.param(["--trainer.profiler", "simple"], marks=pytest.mark.slow),
    ],
)
def test_lightning_s_options_work_with_the_qr_callback(rnn_tasks: RnnTasks, options: list[str]) -> None:
    said = rnn_tasks("fit", "--config", "copy", *SMALL, *options)
    assert said.status == 0, said.err
    for name in ("best", "last"):
        weights = state(Path(f"lightning_logs/copy/version_0/checkpoints/{name}.ckpt"))["state_dict"]
        weight = weights["network.core.weight_hh_l0"].double()
        assert (weight.T @ weight - torch.eye(8)).abs().max() < 1e-5


def test_tensorboard_gets_curves_samples_settings_and_final_figures(trained: RnnTasks) -> None:
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
    entered = content[1].session_start_info.hparams
    assert entered["core"].string_value == "Elman"
    assert entered["core.hidden_size"].number_value == 8
    assert entered["seed"].number_value == 0
    shown = [metric.name.tag for metric in content[0].experiment.metric_infos]
    assert shown[0] == "test/accuracy"
    assert set(shown) - {"run/solved_at"} <= scalars


def test_a_run_that_lightning_ends_for_a_signal_has_not_ended_well(
    rnn_tasks: RnnTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise SIGTERMException

    monkeypatch.setattr("lightning.pytorch.cli.LightningCLI._run_subcommand", end)
    assert rnn_tasks("fit", "--config", "copy").status == 128 + signal.SIGTERM
