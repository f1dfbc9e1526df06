import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR

from rnn_tasks.callbacks import GradientNormMonitor, Reorthogonalize, SpectralNormMonitor
from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign
from rnn_tasks.errors import UsageError
from rnn_tasks.models import Milestones, RecurrentModel, SequenceTagger, WarmupLinear
from rnn_tasks.runs.record import RunRecord
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY
from rnn_tasks.spec import TaskSpec
from rnn_tasks.tasks import Echo, VariableDelayEcho

CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=5),
    "matrix_exp": partial(Elman, hidden_size=5, orthogonal_map="matrix_exp"),
    "cayley": partial(Elman, hidden_size=5, orthogonal_map="cayley"),
    "householder": partial(Elman, hidden_size=5, orthogonal_map="householder"),
    "RNN": partial(RNN, hidden_size=5, num_layers=2),
    "GRU": partial(GRU, hidden_size=5),
    "LSTM": partial(LSTM, hidden_size=5, num_layers=2),
    "Foreign": partial(Foreign, hidden_size=5, layer=nn.GRU),
}
SPEC = VariableDelayEcho(max_delay=2).spec


def model_of(core: str = "Elman", **options: Any) -> SequenceTagger:
    return SequenceTagger(CORES[core], SPEC, partial(SGD, lr=0.5), **options)


def with_trainer(model: RecurrentModel, max_steps: int) -> RecurrentModel:
    model.trainer = Trainer(
        accelerator="cpu", max_steps=max_steps, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    return model


def recurrent_weights(model: RecurrentModel) -> Tensor:
    return torch.cat([weight.flatten() for weight in model.network.core.recurrent_weights().values()]).detach().clone()


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("embedding_size", [None, 4])
def test_each_parameter_is_in_exactly_one_group(core: str, embedding_size: int | None) -> None:
    model = model_of(core, embedding_size=embedding_size, condition_at="both")
    grouped = [id(parameter) for group in model.parameter_groups() for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize("core", CORES)
def test_groups_hold_recurrent_input_and_other_parameters(core: str) -> None:
    model = model_of(core)
    groups = {group["name"]: {id(parameter) for parameter in group["params"]} for group in model.parameter_groups()}
    names = {name: id(parameter) for name, parameter in model.named_parameters()}
    assert groups["recurrent"] == {names[name] for name in names if "weight_hh" in name}
    assert {id(weight) for weight in model.network.core.input_weights()} <= groups["input"]
    assert {names["network.readout.weight"], names["network.readout.bias"]} <= groups["rest"]


def test_frozen_parameter_is_in_no_group() -> None:
    model = model_of()
    model.network.core.get_parameter("weight_hh_l0").requires_grad_(False)
    assert [group["name"] for group in model.parameter_groups()] == ["input", "rest"]


@pytest.mark.parametrize("core", CORES)
def test_lr_factors_multiply_the_rates_of_their_groups(core: str) -> None:
    optimizer = model_of(core, recurrent_lr_factor=0.1, input_lr_factor=3).configure_optimizers()
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    assert rates == pytest.approx({"recurrent": 0.05, "input": 1.5, "rest": 0.5})


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(("name", "frozen"), [("recurrent_lr_factor", "recurrent"), ("input_lr_factor", "input")])
def test_lr_factor_of_0_freezes_only_its_group(core: str, name: str, frozen: str) -> None:
    options: dict[str, Any] = {name: 0.0}
    model = model_of(core, **options)
    optimizer = model.configure_optimizers()
    before = {role: [p.detach().clone() for p in group["params"]] for role, group in groups_of(optimizer).items()}
    weights = recurrent_weights(model)
    model(torch.randint(0, 5, (3, 6)), torch.tensor([0, 1, 2]))[0].square().sum().backward()
    optimizer.step()
    for role, group in groups_of(optimizer).items():
        changed = [not torch.equal(p, old) for p, old in zip(group["params"], before[role], strict=True)]
        assert any(changed) is (role != frozen)
    assert torch.equal(recurrent_weights(model), weights) is (frozen == "recurrent")


def groups_of(optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in optimizer.param_groups}


@pytest.mark.parametrize("name", ["recurrent_lr_factor", "input_lr_factor"])
def test_model_rejects_an_lr_factor_below_0(name: str) -> None:
    options: dict[str, Any] = {name: -0.5}
    with pytest.raises(UsageError, match=rf"{name} must be at least 0, got -0\.5"):
        model_of(**options)


def test_schedule_counts_optimizer_steps() -> None:
    model = with_trainer(model_of(recurrent_lr_factor=0.1, schedule=partial(WarmupLinear, warmup=0.5, floor=0.0)), 8)
    configured = model.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"]["interval"] == "step"
    rates = []
    for _ in range(8):
        rates.append(groups_of(optimizer)["recurrent"]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.05 * factor for factor in (0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25)])


def test_warmup_linear_is_rejected_without_max_steps() -> None:
    message = r"WarmupLinear needs the number of steps of the run: set trainer\.max_steps"
    with pytest.raises(UsageError, match=message):
        with_trainer(model_of(schedule=WarmupLinear), -1).configure_optimizers()


def test_milestones_work_without_max_steps() -> None:
    configured = with_trainer(model_of(schedule=partial(Milestones, steps=[1], gamma=0.5)), -1).configure_optimizers()
    configured["optimizer"].step()
    configured["lr_scheduler"]["scheduler"].step()
    assert groups_of(configured["optimizer"])["rest"]["lr"] == 0.25


def test_lr_scheduler_is_passed_to_lightning_unchanged() -> None:
    configured = model_of(lr_scheduler=partial(StepLR, step_size=1, gamma=0.5)).configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    assert configured["lr_scheduler"].keys() == {"scheduler"}
    assert schedule.optimizer is optimizer
    optimizer.step()
    schedule.step()
    assert groups_of(optimizer)["rest"]["lr"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": partial(SGD, lr=-1.0)}, "model.optimizer: Invalid learning rate: -1.0"),
        ({"optimizer": partial(Adam, betas=(1.5, 0.9))}, "model.optimizer: Invalid beta parameter at index 0: 1.5"),
        ({"optimizer": partial(Adam, betas=())}, "model.optimizer: "),  # type: ignore[arg-type]
        ({"optimizer": partial(Adam, weight_decay=-1.0)}, "model.optimizer: Invalid weight_decay value: -1.0"),
        ({"optimizer": LBFGS}, "model.optimizer: LBFGS doesn't support per-parameter options"),
        ({"schedule": partial(WarmupLinear, warmup=2.0)}, "model.schedule: warmup must be at least 0 and below 1"),
        ({"lr_scheduler": partial(StepLR)}, "model.lr_scheduler: "),
        (
            {"lr_scheduler": partial(ReduceLROnPlateau, monitor="train/loss")},
            "model.lr_scheduler: monitor must be a metric of the validation, such as val/loss; got train/loss",
        ),
    ],
)
def test_model_rejects_arguments_of_optimizer_and_schedule(options: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"optimizer": partial(SGD, lr=0.5), **options}
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        SequenceTagger(CORES["Elman"], SPEC, **settings)


class RateRecorder(Callback):
    """Keeps the learning rate of the first group after each validation, and saves ``last.ckpt`` then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rates: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        trainer.save_checkpoint(self.folder / "last.ckpt")


def rates_after_validations(
    lr_scheduler: Callable[..., Any], folder: Path, epoch_sequences: int | None = None, **options: Any
) -> list[float]:
    """Train for six steps of two sequences, with a validation every two steps, and return the learning rates.

    Args:
        lr_scheduler: The schedule.
        folder: Where to save ``last.ckpt``.
        epoch_sequences: The sequences of an epoch; None for an endless epoch.
        options: Options of the trainer; ``ckpt_path`` resumes a run.
    """
    task = Echo(delay=1, sequence_length=4, alphabet_size=3, batch_size=2, epoch_sequences=epoch_sequences,
                val_sequences=4, min_eval_length=4, max_eval_length=4)  # fmt: skip
    torch.manual_seed(0)
    model = SequenceTagger(CORES["Elman"], task.spec, partial(SGD, lr=1.0), lr_scheduler=lr_scheduler)
    recorder, ckpt_path = RateRecorder(folder), options.pop("ckpt_path", None)
    settings = {"max_steps": 6, "val_check_interval": 2, "check_val_every_n_epoch": None, "num_sanity_val_steps": 0}
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[recorder],
                      enable_checkpointing=False, enable_model_summary=False, **{**settings, **options})  # fmt: skip
    trainer.fit(model, task, ckpt_path=ckpt_path)
    return recorder.rates


HALVED: Callable[..., Any] = partial(StepLR, step_size=1, gamma=0.5)
# No loss is a thousand times smaller than the first, so each validation but the first halves the rate.
PLATEAU: Callable[..., Any] = partial(
    ReduceLROnPlateau, monitor="val/loss", factor=0.5, patience=0, threshold=0.999, threshold_mode="rel"
)
TORCH_PLATEAU: Callable[..., Any] = partial(
    torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=0, threshold=0.999
)


def test_lr_scheduler_steps_at_validations_of_an_endless_epoch(tmp_path: Path) -> None:
    assert rates_after_validations(HALVED, tmp_path) == [0.5, 0.25, 0.125]


def test_lr_scheduler_steps_once_in_each_epoch_that_ends(tmp_path: Path) -> None:
    assert rates_after_validations(HALVED, tmp_path, epoch_sequences=6) == [1.0, 0.5, 0.25]  # epochs of three steps


@pytest.mark.parametrize("schedule", [PLATEAU, TORCH_PLATEAU], ids=["lightning", "torch"])
@pytest.mark.parametrize("epoch_sequences", [None, 6])
def test_plateau_schedule_steps_at_every_validation(
    tmp_path: Path, schedule: Callable[..., Any], epoch_sequences: int | None
) -> None:
    assert rates_after_validations(schedule, tmp_path, epoch_sequences) == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("schedule", [HALVED, PLATEAU], ids=["steps", "plateau"])
def test_resumed_lr_scheduler_has_the_rates_of_an_uninterrupted_run(
    tmp_path: Path, schedule: Callable[..., Any]
) -> None:
    whole = rates_after_validations(schedule, tmp_path / "whole")
    first = rates_after_validations(schedule, tmp_path / "part", max_steps=4)
    last = tmp_path / "part" / "last.ckpt"
    assert first + rates_after_validations(schedule, tmp_path / "part", ckpt_path=last) == whole


def test_plateau_schedule_names_the_metrics_when_one_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no metric val/lost; set monitor to one of val/loss, "):
        rates_after_validations(partial(ReduceLROnPlateau, monitor="val/lost"), tmp_path)


def test_lr_scheduler_is_rejected_when_it_would_never_step(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="but this run has neither"):
        rates_after_validations(HALVED, tmp_path, limit_val_batches=0)


class ChangeRate(Callback):
    """Sets the learning rate before training, as LearningRateFinder does: also of all groups of the optimizer."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, RecurrentModel)
        pl_module.lr = 0.25
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = 0.25


@pytest.mark.parametrize("schedule", [None, partial(WarmupLinear, warmup=0.0, floor=0.5)], ids=["constant", "linear"])
def test_lr_attribute_governs_the_rates_of_all_groups(schedule: Any) -> None:
    task = Echo(delay=1, sequence_length=4, alphabet_size=3, batch_size=2, val_sequences=2)
    options: dict[str, Any] = {"recurrent_lr_factor": 0.1, "input_lr_factor": 3.0, "schedule": schedule}
    model = SequenceTagger(CORES["Elman"], task.spec, partial(SGD, lr=1.0), **options)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
                      callbacks=[ChangeRate()], max_steps=2, limit_val_batches=0)  # fmt: skip
    trainer.fit(model, task)
    share = 1.0 if schedule is None else 0.5  # the schedule ends at half of the rate
    rates = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
    expected = {"recurrent": 0.025, "input": 0.75, "rest": 0.25}
    assert rates == pytest.approx({name: share * rate for name, rate in expected.items()})


def test_memory_steps_counts_the_last_evaluation() -> None:
    task = Echo(delay=1, sequence_length=4, alphabet_size=3, batch_size=2, val_sequences=5, test_sequences=7,
                min_eval_length=4, max_eval_length=4)  # fmt: skip
    model = SequenceTagger(CORES["Elman"], task.spec, partial(SGD, lr=0.1))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
                      max_steps=2, val_check_interval=1, log_every_n_steps=1, enable_model_summary=False)  # fmt: skip
    trainer.fit(model, task)
    trainer.test(model, task, verbose=False)
    assert model.memory_steps == {"train": 2 * 3, "val": 5 * 3, "test": 7 * 3}  # the first step is not scored
    assert not any("memory_steps" in name for name in trainer.callback_metrics)


def test_model_rejects_both_kinds_of_schedule_at_once() -> None:
    with pytest.raises(UsageError, match="not both"):
        model_of(schedule=WarmupLinear, lr_scheduler=partial(StepLR, step_size=1))


class FixedHashRecord(RunRecord):
    """A record of a run with a fixed hash of the model section."""

    model_hash = "c0ffee"

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("callbacks", "stored_hash"), [([FixedHashRecord()], "c0ffee"), ([], None)], ids=["record", "no record"]
)
def test_checkpoint_holds_the_spec_and_the_config_hash(
    tmp_path: Path, callbacks: list[Callback], stored_hash: str | None
) -> None:
    model = SequenceTagger(CORES["GRU"], Echo(delay=3).spec, SGD)
    model.trainer = Trainer(
        accelerator="cpu", callbacks=callbacks, logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "model.ckpt")
    loaded = torch.load(tmp_path / "model.ckpt", weights_only=True)
    assert loaded[CHECKPOINT_KEY]["config"] == stored_hash
    loaded_model = SequenceTagger(CORES["GRU"], TaskSpec.from_dict(loaded[CHECKPOINT_KEY]["spec"]), SGD)
    loaded_model.load_state_dict(loaded["state_dict"])
    assert loaded_model.spec == model.spec
    assert loaded_model.respond("abacaba") == model.respond("abacaba")


@pytest.mark.parametrize("condition_at", ["input", "readout", "both"])
@pytest.mark.parametrize("embedding_size", [None, 4])
@pytest.mark.parametrize("core", CORES)
def test_state_dict_of_version_0_1_0_loads(core: str, embedding_size: int | None, condition_at: str) -> None:
    """In version 0.1.0 the names of the weights had no prefix ``network.``."""
    model, loaded = (model_of(core, embedding_size=embedding_size, condition_at=condition_at) for _ in range(2))
    old = model.network.state_dict()
    checkpoint: dict[str, Any] = {"state_dict": dict(old)}
    loaded.on_load_checkpoint(checkpoint)
    loaded.load_state_dict(checkpoint["state_dict"])
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    assert list(checkpoint["state_dict"]) == [f"network.{name}" for name in old]
    current = dict(checkpoint["state_dict"])
    loaded.on_load_checkpoint(checkpoint)  # keeps current names
    assert checkpoint["state_dict"].keys() == current.keys()


def test_forward_equals_the_network() -> None:
    model = model_of("LSTM", condition_at="both")
    inputs, condition = torch.randint(0, 5, (2, 6)), torch.tensor([0, 2])
    logits, state = model(inputs, condition)
    expected, expected_state = model.network(inputs, condition)
    assert torch.equal(logits, expected)
    torch.testing.assert_close(state, expected_state, atol=0, rtol=0)
    continued, _ = model(inputs, condition, state)
    assert torch.equal(continued, model.network(inputs, condition, state)[0])
    assert not torch.allclose(continued, logits)


def fit_of_echo(model: SequenceTagger, task: Echo, *callbacks: Callback, max_steps: int = 4) -> Trainer:
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False,
                      max_steps=max_steps, enable_model_summary=False, callbacks=list(callbacks),
                      val_check_interval=2, check_val_every_n_epoch=None, log_every_n_steps=1)  # fmt: skip
    trainer.fit(model, task)
    return trainer


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of torch's compiler
@pytest.mark.parametrize("core", ["Elman", "GRU", "LSTM"])
def test_compiled_network_trains_as_the_network(core: str) -> None:
    task = Echo(delay=1, sequence_length=6, alphabet_size=3, batch_size=4, val_sequences=9)
    weights = []
    for compiles in (False, True):
        torch.manual_seed(0)
        model = SequenceTagger(CORES[core], task.spec, partial(SGD, lr=0.5))
        if compiles:
            model.network.compile(backend="eager")
        fit_of_echo(model, task, Reorthogonalize(), SpectralNormMonitor())
        weights.append(model.state_dict())
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight)


class Interrupt(Callback):
    """Interrupts the first fit as Ctrl-C does in a notebook."""

    def __init__(self) -> None:
        self.is_first = True

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self.is_first and trainer.global_step == 2:
            self.is_first = False
            raise KeyboardInterrupt


def test_model_can_be_fitted_again_after_an_interrupt() -> None:
    task = Echo(delay=1, sequence_length=6, alphabet_size=3, batch_size=4, val_sequences=9)
    model = SequenceTagger(CORES["Elman"], task.spec, partial(SGD, lr=0.5))
    interrupt, others = Interrupt(), [Reorthogonalize(), SpectralNormMonitor(every_n_logs=1), GradientNormMonitor()]
    with pytest.raises((KeyboardInterrupt, SystemExit)):  # Lightning ends the process, which a notebook reports
        fit_of_echo(model, task, interrupt, *others)
    before = model.network.core.get_parameter("weight_hh_l0").detach().clone()
    trainer = fit_of_echo(model, task, interrupt, *others)
    assert trainer.global_step == 4
    weight = model.network.core.get_parameter("weight_hh_l0").detach()
    assert not torch.equal(weight, before)
    assert (weight.T @ weight - torch.eye(5)).abs().max() < 1e-5
    assert {"spectral_norm/weight_hh_l0", "gradient_norm/after_clipping"} <= trainer.callback_metrics.keys()


def test_validation_logs_a_loss_that_is_not_finite() -> None:
    task = Echo(delay=1, sequence_length=4, alphabet_size=3, val_sequences=5)
    model = SequenceTagger(CORES["Elman"], task.spec, partial(SGD, lr=0.1))
    with torch.no_grad():
        model.network.readout.get_parameter("bias").fill_(torch.nan)
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.validate(model, task, verbose=False)
    assert trainer.callback_metrics["val/loss"].isnan()
    assert trainer.callback_metrics["val/loss_share"].isnan()
