from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch import nn

from rnn_tasks.callbacks import (
    EigenvalueMonitor,
    GateMonitor,
    GradientLagMonitor,
    SaturationMonitor,
    SnapshotRecorder,
)
from rnn_tasks.callbacks._monitor import Monitor, add_picture, first_sequences, observing
from rnn_tasks.cores import Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.models import RecurrentModel
from rnn_tasks.runs.logger import RunLogger
from rnn_tasks.spec import NOT_SCORED, Batch
from tests.helpers.monitored_runs import CORES, GATED, STRANGE, Notebook, echo, events, grammar, model_for, trainer

NAMES = ("gradient_by_lag/", "saturation/", "gate/")


def all_of_them() -> list[Callback]:
    return [
        GradientLagMonitor(),
        EigenvalueMonitor(),
        SaturationMonitor(),
        GateMonitor(),
        SnapshotRecorder(dense_steps=3, dense_every=1, every=2),
    ]


class Noise(nn.GRU):
    """A layer that draws random numbers even when it does not train."""

    def forward(self, inputs: Any, state: Any = None) -> Any:
        outputs, after = super().forward(inputs, state)
        return outputs + 1e-3 * torch.randn_like(outputs), after


def after_training(folder: Path, make: Callable[[], Any], core: Any, watched: bool, options: dict[str, Any]) -> Any:
    """All that training has changed: weights, optimizer, random numbers, and what is known of the running text."""
    task = make()
    model = model_for(task, core)
    steps = {"max_steps": 5, "val_check_interval": 3}
    run = trainer(*(all_of_them() if watched else []), folder=folder, **{**steps, **options})
    run.fit(model, task)
    carried = getattr(model, "carried", {}).get("train")
    return model.state_dict(), run.optimizers[0].state_dict()["state"], torch.get_rng_state(), carried, model.training


@pytest.mark.parametrize(
    ("make", "core", "options"),
    [
        (grammar, GATED, {"gradient_clip_val": 0.1}),
        # validates in the middle of an accumulation
        pytest.param(
            grammar,
            CORES["LSTM"],
            {"accumulate_grad_batches": 2, "max_steps": 2, "val_check_interval": 1},
            marks=pytest.mark.slow,
        ),
        pytest.param(echo, GATED, {"precision": "bf16-mixed", "num_sanity_val_steps": 1}, marks=pytest.mark.slow),
        (echo, partial(Foreign, hidden_size=4, layer=Noise), {"inference_mode": False}),
    ],
    ids=["text with dropout", "accumulation", "bf16-mixed", "a layer that draws"],
)
def test_observing_changes_nothing_that_trains(
    tmp_path: Path, make: Callable[[], Any], core: Any, options: dict[str, Any]
) -> None:
    alone = after_training(tmp_path / "alone", make, core, False, options)
    watched = after_training(tmp_path / "watched", make, core, True, options)
    torch.testing.assert_close(watched, alone, rtol=0, atol=0)


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


def test_nothing_is_logged_that_was_not_asked_for(tmp_path: Path) -> None:
    notebook = Notebook()
    trainer(folder=tmp_path, notebook=notebook).fit(model_for(echo()), echo())
    assert not [name for name in notebook.names() if name.startswith(NAMES)]
    assert events(tmp_path).Tags()["images"] == events(tmp_path).Tags()["histograms"] == []
    assert {path.name.split(".")[0] for path in (tmp_path / "run/version_0").iterdir()} == {"events"}


def test_a_run_that_is_only_measured_is_not_looked_at(tmp_path: Path) -> None:
    notebook = Notebook()
    run = trainer(*all_of_them(), folder=tmp_path, notebook=notebook)
    run.validate(model_for(echo(), GATED), echo(), verbose=False)
    assert not [name for name in notebook.names() if name.startswith(NAMES)]
    assert not list(tmp_path.rglob("snapshots.pt"))


def test_only_rank_zero_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "is_global_zero", False)
    notebook = Notebook()
    trainer(*all_of_them(), folder=tmp_path, notebook=notebook).fit(model_for(echo(), GATED), echo())
    assert not [name for name in notebook.names() if name.startswith(NAMES)]
    assert events(tmp_path).Tags()["images"] == []
    assert not list(tmp_path.rglob("snapshots.pt"))


class Spoil(Callback):
    """Makes a weight infinite."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.get_parameter("network.readout.bias").data.fill_(float("inf"))


def test_a_diverged_network_is_skipped(tmp_path: Path) -> None:
    notebook = Notebook()
    trainer(Spoil(), *all_of_them(), folder=tmp_path, notebook=notebook).fit(model_for(echo(), GATED), echo())
    assert not [name for name in notebook.names() if name.startswith(NAMES)]
    assert not list(tmp_path.rglob("snapshots.pt"))


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 3, 5]), (2, [0, 3])])
def test_scalars_are_logged_before_training_and_at_validations(every: int, expected: list[int]) -> None:
    notebook = Notebook()
    trainer(SaturationMonitor(every_n_validations=every), notebook=notebook).fit(model_for(echo()), echo())
    assert notebook.steps("saturation/share") == expected
    assert notebook.steps("val/loss") == [1, 3, 5]


@pytest.mark.parametrize(("every", "expected"), [(1, [2, 4, 6]), (2, [4, 6]), (5, [6])])
def test_pictures_are_drawn_at_validations_and_at_the_end(tmp_path: Path, every: int, expected: list[int]) -> None:
    run = trainer(EigenvalueMonitor(first_picture_after=every), folder=tmp_path)
    run.fit(model_for(echo()), echo())
    assert [image.step for image in events(tmp_path).Images("eigenvalues")] == expected


def test_later_pictures_are_further_apart() -> None:
    monitor = EigenvalueMonitor(first_picture_after=5)
    assert [count for count in range(1, 100) if monitor.is_drawn(count)] == [5, 10, 20, 40, 80]
    histograms = SaturationMonitor(every_n_validations=3)
    assert [count for count in range(1, 10) if histograms.is_drawn(count)] == [3, 6, 9]


def test_a_picture_is_what_the_figure_shows(tmp_path: Path) -> None:
    figure = Figure(figsize=(1.5, 0.5), dpi=100, facecolor=(1, 0, 0))
    shown: list[Any] = []
    board = RunLogger(str(tmp_path), "run").experiment
    board.add_image = lambda *args, **options: shown.append((args, options))
    add_picture(board, "red", figure, 7)
    (((name, colours, step), options),) = shown
    assert (name, step, options) == ("red", 7, {"dataformats": "HWC"})
    assert colours.shape == (50, 150, 3)
    assert (colours == (255, 0, 0)).all()


def test_the_sequences_are_the_first_that_have_a_scored_step() -> None:
    targets = torch.tensor([[NOT_SCORED, NOT_SCORED], [1, NOT_SCORED], [NOT_SCORED, 2], [3, 3]])
    batch = Batch(torch.arange(8).view(4, 2), targets, targets == 1, torch.arange(4), continues=False)
    found = first_sequences(batch, 2)
    assert found.inputs.tolist() == [[2, 3], [4, 5]]
    assert torch.equal(found.targets, targets[1:3])
    assert found.memory is not None
    assert found.condition is not None
    assert torch.equal(found.memory, targets[1:3] == 1)
    assert found.condition.tolist() == [1, 2]
    with pytest.raises(UsageError, match="no sequence"):
        first_sequences(batch.rows(0, 1), 2)


def test_first_sequences_takes_one_per_input_if_enough() -> None:
    inputs, targets = torch.arange(3)[:, None], torch.arange(10, 16)[:, None]
    batch = Batch(inputs, targets, condition=torch.arange(2).repeat(3), continues=True, conditions_per_input=2)
    found, more = first_sequences(batch, 2), first_sequences(batch, 4)
    assert found.inputs.tolist() == [[0], [1]]
    assert found.targets.tolist() == [[10], [13]]
    assert more.inputs.tolist() == [[0], [0], [1], [1]]
    assert more.targets.tolist() == [[10], [11], [12], [13]]
    assert found.conditions_per_input == more.conditions_per_input == 1
    assert not found.continues


class Plain(LightningModule):
    """A model without a layer of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.layer(torch.zeros(1, 1)).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("monitor", all_of_them(), ids=lambda monitor: type(monitor).__name__)
def test_a_model_without_a_layer_of_ours_is_refused(tmp_path: Path, monitor: Callback) -> None:
    with pytest.raises(UsageError, match=f"{type(monitor).__name__} looks into a recurrent layer, and Plain has none"):
        trainer(monitor, folder=tmp_path).fit(Plain(), echo())


def test_a_run_without_a_datamodule_is_refused() -> None:
    task = echo()
    with pytest.raises(UsageError, match="SaturationMonitor looks at the first validation sequences"):
        trainer(SaturationMonitor()).fit(model_for(task), task.train_dataloader(), task.val_dataloader())


@pytest.mark.parametrize("monitor", [GradientLagMonitor, EigenvalueMonitor, SaturationMonitor, GateMonitor])
@pytest.mark.parametrize("name", ["every_n_validations", "first_picture_after", "num_sequences"])
def test_counts_below_one_are_refused(monitor: type[Monitor], name: str) -> None:
    if name in monitor.__init__.__annotations__:
        with pytest.raises(UsageError, match="must be at least 1, got 0"):
            monitor(**{name: 0})  # type: ignore[arg-type]


def test_an_unwatched_model_is_a_recurrent_one() -> None:
    """So the comparisons above are of models of both kinds."""
    assert all(isinstance(model_for(make()), RecurrentModel) for make in (echo, grammar))


@pytest.mark.parametrize("monitor", [EigenvalueMonitor, GateMonitor, GradientLagMonitor])
def test_an_optional_monitor_skips_an_unsupported_layer(
    monitor: type[Monitor], capsys: pytest.CaptureFixture[str]
) -> None:
    task = echo()
    with pytest.raises(UsageError) as refused:
        trainer(monitor()).fit(model_for(task, STRANGE), task)  # type: ignore[call-arg]
    notebook = Notebook()
    alone = monitor(optional=True)  # type: ignore[call-arg]
    trainer(alone, notebook=notebook).fit(model_for(task, STRANGE), task)
    assert f"{refused.value}: left out" in capsys.readouterr().out
    assert not any(name.startswith(("gate", "gradient_by_lag")) for name in notebook.names())
