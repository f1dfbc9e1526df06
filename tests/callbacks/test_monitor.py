from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from rnn_tasks.callbacks import (
    EigenvalueMonitor,
    GateMonitor,
    GradientLagMonitor,
    SampleMonitor,
    SaturationMonitor,
    SnapshotRecorder,
)
from rnn_tasks.callbacks._monitor import Monitor, add_picture, first_sequences, observing
from rnn_tasks.cores import Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.models import RecurrentModel
from rnn_tasks.networks import Network
from rnn_tasks.runs.curves import read_log
from rnn_tasks.runs.logger import CurveLogger, RunLogger
from rnn_tasks.spec import NOT_SCORED, Batch
from tests.helpers.monitored_runs import (
    CORES,
    GATED,
    UNSUPPORTED,
    RecordingLogger,
    echo,
    events,
    grammar,
    model_for,
    trainer,
)

PREFIXES = ("gradient_by_lag/", "saturation/", "gate/")


def all_monitors() -> list[Callback]:
    return [
        GradientLagMonitor(),
        EigenvalueMonitor(),
        SaturationMonitor(),
        GateMonitor(),
        SnapshotRecorder(dense_steps=3, dense_every=1, every=2),
    ]


class NoisyGRU(nn.GRU):
    """A layer that uses random numbers, also in evaluation mode."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        outputs, after = super().forward(inputs, state)
        return outputs + 1e-3 * torch.randn_like(outputs), after


def after_training(folder: Path, make: Callable[[], Any], core: Any, monitored: bool, options: dict[str, Any]) -> Any:
    """Train, and return all that training changes: weights, optimizer, random numbers, carried state and mode."""
    task = make()
    model = model_for(task, core)
    steps = {"max_steps": 5, "val_check_interval": 3}
    run = trainer(*(all_monitors() if monitored else []), folder=folder, **{**steps, **options})
    run.fit(model, task)
    carried = getattr(model, "carried", {}).get("train")
    return model.state_dict(), run.optimizers[0].state_dict()["state"], torch.get_rng_state(), carried, model.training


@pytest.mark.parametrize(
    ("make", "core", "options"),
    [
        (grammar, GATED, {"gradient_clip_val": 0.1}),
        # Validations take place between accumulated batches.
        pytest.param(
            grammar,
            CORES["LSTM"],
            {"accumulate_grad_batches": 2, "max_steps": 2, "val_check_interval": 1},
            marks=pytest.mark.slow,
        ),
        pytest.param(echo, GATED, {"precision": "bf16-mixed", "num_sanity_val_steps": 1}, marks=pytest.mark.slow),
        (echo, partial(Foreign, hidden_size=4, layer=NoisyGRU), {"inference_mode": False}),
    ],
    ids=["text with dropout", "accumulation", "bf16-mixed", "layer with random numbers"],
)
def test_monitors_do_not_change_training(
    tmp_path: Path, make: Callable[[], Any], core: Any, options: dict[str, Any]
) -> None:
    plain = after_training(tmp_path / "plain", make, core, False, options)
    monitored = after_training(tmp_path / "monitored", make, core, True, options)
    torch.testing.assert_close(monitored, plain, rtol=0, atol=0)


def test_observing_restores_random_state_and_modes_after_errors() -> None:
    model = model_for(echo(), GATED)
    model.network.core.eval()
    expected = [module.training for module in model.modules()]
    numbers = torch.get_rng_state()

    def fail() -> None:
        with observing(model):
            torch.rand(3)
            model.train().network.core.train(False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [module.training for module in model.modules()] == expected
    assert torch.equal(torch.get_rng_state(), numbers)


def test_a_run_without_monitors_logs_none_of_their_values(tmp_path: Path) -> None:
    logger = RecordingLogger()
    trainer(folder=tmp_path, logger=logger).fit(model_for(echo()), echo())
    assert not [name for name in logger.names() if name.startswith(PREFIXES)]
    assert events(tmp_path).Tags()["images"] == events(tmp_path).Tags()["histograms"] == []
    assert {path.name.split(".")[0] for path in (tmp_path / "run/version_0").iterdir()} == {"events"}


def test_monitors_do_nothing_during_validate(tmp_path: Path) -> None:
    logger = RecordingLogger()
    run = trainer(*all_monitors(), folder=tmp_path, logger=logger)
    run.validate(model_for(echo(), GATED), echo(), verbose=False)
    assert not [name for name in logger.names() if name.startswith(PREFIXES)]
    assert not list(tmp_path.rglob("snapshots.pt"))


def test_monitors_measure_on_rank_zero_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    logger = RecordingLogger()
    trainer(*all_monitors(), folder=tmp_path, logger=logger).fit(model_for(echo(), GATED), echo())
    assert not [name for name in logger.names() if name.startswith(PREFIXES)]
    assert events(tmp_path).Tags()["images"] == []
    assert not list(tmp_path.rglob("snapshots.pt"))


class InfiniteWeight(Callback):
    """Sets a weight to infinity."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.get_parameter("network.readout.bias").data.fill_(float("inf"))


def test_monitors_skip_a_diverged_network(tmp_path: Path) -> None:
    logger = RecordingLogger()
    trainer(InfiniteWeight(), *all_monitors(), folder=tmp_path, logger=logger).fit(model_for(echo(), GATED), echo())
    assert not [name for name in logger.names() if name.startswith(PREFIXES)]
    assert not list(tmp_path.rglob("snapshots.pt"))


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 3, 5]), (2, [0, 3])])
def test_scalars_are_logged_before_training_and_at_validations(every: int, expected: list[int]) -> None:
    logger = RecordingLogger()
    trainer(SaturationMonitor(every_n_validations=every), logger=logger).fit(model_for(echo()), echo())
    assert logger.steps("saturation/share") == expected
    assert logger.steps("val/loss") == [1, 3, 5]


@pytest.mark.parametrize(("every", "expected"), [(1, [2, 4, 6]), (2, [4, 6]), (5, [6])])
def test_pictures_are_drawn_at_validations_and_at_the_end(tmp_path: Path, every: int, expected: list[int]) -> None:
    run = trainer(EigenvalueMonitor(first_picture_after=every), folder=tmp_path)
    run.fit(model_for(echo()), echo())
    assert [image.step for image in events(tmp_path).Images("eigenvalues")] == expected


def test_pictures_follow_after_doubling_numbers_of_validations() -> None:
    monitor = EigenvalueMonitor(first_picture_after=5)
    assert [count for count in range(1, 100) if monitor.is_drawn(count)] == [5, 10, 20, 40, 80]
    histograms = SaturationMonitor(every_n_validations=3)
    assert [count for count in range(1, 10) if histograms.is_drawn(count)] == [3, 6, 9]


def test_add_picture_writes_the_pixels_of_the_figure(tmp_path: Path) -> None:
    figure = Figure(figsize=(1.5, 0.5), dpi=100, facecolor=(1, 0, 0))
    images: list[Any] = []
    writer = RunLogger(str(tmp_path), "run").experiment
    writer.add_image = lambda *args, **options: images.append((args, options))
    add_picture(writer, "red", figure, 7)
    (((tag, colours, step), options),) = images
    assert (tag, step, options) == ("red", 7, {"dataformats": "HWC"})
    assert colours.shape == (50, 150, 3)
    assert (colours == (255, 0, 0)).all()


def test_first_sequences_skips_sequences_without_scored_steps() -> None:
    targets = torch.tensor([[NOT_SCORED, NOT_SCORED], [1, NOT_SCORED], [NOT_SCORED, 2], [3, 3]])
    batch = Batch(torch.arange(8).view(4, 2), targets, targets == 1, torch.arange(4), continues=False)
    result = first_sequences(batch, 2)
    assert result.inputs.tolist() == [[2, 3], [4, 5]]
    assert torch.equal(result.targets, targets[1:3])
    assert result.memory is not None
    assert result.condition is not None
    assert torch.equal(result.memory, targets[1:3] == 1)
    assert result.condition.tolist() == [1, 2]
    with pytest.raises(UsageError, match="no sequence"):
        first_sequences(batch.rows(0, 1), 2)


def test_first_sequences_takes_one_row_per_input_if_enough() -> None:
    inputs, targets = torch.arange(3)[:, None], torch.arange(10, 16)[:, None]
    batch = Batch(inputs, targets, condition=torch.arange(2).repeat(3), continues=True, conditions_per_input=2)
    result, more = first_sequences(batch, 2), first_sequences(batch, 4)
    assert result.inputs.tolist() == [[0], [1]]
    assert result.targets.tolist() == [[10], [13]]
    assert more.inputs.tolist() == [[0], [0], [1], [1]]
    assert more.targets.tolist() == [[10], [11], [12], [13]]
    assert result.conditions_per_input == more.conditions_per_input == 1
    assert not result.continues


class PlainModule(LightningModule):
    """A model without a Network."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("monitor", all_monitors(), ids=lambda monitor: type(monitor).__name__)
def test_monitors_raise_for_a_model_without_a_network(tmp_path: Path, monitor: Callback) -> None:
    name = type(monitor).__name__
    with pytest.raises(UsageError, match=f"{name} needs a model with a recurrent layer; PlainModule has none"):
        trainer(monitor, folder=tmp_path).fit(PlainModule(), echo())


def test_monitors_raise_without_a_datamodule() -> None:
    task = echo()
    with pytest.raises(UsageError, match="SaturationMonitor needs validation sequences"):
        trainer(SaturationMonitor()).fit(model_for(task), task.train_dataloader(), task.val_dataloader())


@pytest.mark.parametrize("monitor", [GradientLagMonitor, EigenvalueMonitor, SaturationMonitor, GateMonitor])
@pytest.mark.parametrize("name", ["every_n_validations", "first_picture_after", "num_sequences"])
def test_monitors_raise_for_counts_below_1(monitor: type[Monitor], name: str) -> None:
    if name in monitor.__init__.__annotations__:
        with pytest.raises(UsageError, match="must be at least 1, got 0"):
            monitor(**{name: 0})  # type: ignore[arg-type]


def test_model_for_returns_a_recurrent_model() -> None:
    """The comparisons above need models for echo and for text."""
    assert all(isinstance(model_for(make()), RecurrentModel) for make in (echo, grammar))


@pytest.mark.parametrize("monitor", [EigenvalueMonitor, GateMonitor, GradientLagMonitor])
def test_an_optional_monitor_skips_an_unsupported_layer(
    monitor: type[Monitor], capsys: pytest.CaptureFixture[str]
) -> None:
    task = echo()
    with pytest.raises(UsageError) as raised:
        trainer(monitor()).fit(model_for(task, UNSUPPORTED), task)  # type: ignore[call-arg]
    logger = RecordingLogger()
    optional = monitor(optional=True)  # type: ignore[call-arg]
    trainer(optional, logger=logger).fit(model_for(task, UNSUPPORTED), task)
    assert f"{raised.value}: skipped" in capsys.readouterr().out
    assert not any(name.startswith(("gate", "gradient_by_lag")) for name in logger.names())


class StepRecorder(Monitor):
    """Keeps the steps at which it measures."""

    def __init__(self) -> None:
        super().__init__(every_n_validations=3, first_picture_after=100)
        self.steps: list[int] = []

    def measure(self, network: Network, sequences: Batch, step: int) -> dict[str, torch.Tensor]:
        self.steps.append(step)
        return {}

    def show(self, writer: SummaryWriter, step: int) -> None:
        pass


def test_resumed_monitor_measures_at_the_validations_of_a_whole_run(tmp_path: Path) -> None:
    task, path, steps = echo(), tmp_path / "last.ckpt", []
    for stop in (4, 8):
        recorder = StepRecorder()
        running = trainer(recorder, max_steps=stop, val_check_interval=1)
        running.fit(model_for(task), task, ckpt_path=path if stop == 8 else None)
        running.save_checkpoint(path)
        steps.append(recorder.steps)
    assert steps == [[0, 3, 4], [6, 8]]  # before training, after every third validation, and after training


def test_texts_are_given_to_all_loggers_that_store_texts(tmp_path: Path) -> None:
    curves, task = CurveLogger(), echo()
    curves.folder = tmp_path
    boards = [TensorBoardLogger(tmp_path, name, "version_0") for name in ("first", "run")]
    trainer(SampleMonitor(num_sequences=1), max_steps=2, loggers=[*boards, curves]).fit(model_for(task), task)
    assert "answer" in read_log(tmp_path).texts["samples"]
    for board in boards:
        assert "samples/text_summary" in EventAccumulator(board.log_dir).Reload().Tags()["tensors"]
