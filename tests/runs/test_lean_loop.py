"""What is spared must not be missed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler, LambdaCallback, ModelCheckpoint
from lightning.pytorch.profilers import PassThroughProfiler, SimpleProfiler
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.callbacks import StopAtDivergence
from rnn_tasks.models import RecurrentModel, SequenceTagger
from rnn_tasks.models.schedules import WarmupLinear
from rnn_tasks.runs.lean_loop import HOOKS, NoProfiler, spare
from rnn_tasks.spec import Batch
from rnn_tasks.tasks import Echo, Task
from tests.callbacks.watched import ELMAN, GATED, Notebook, echo, grammar, network, trainer


class Counter(Callback):
    """Counts the ends of steps."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self.count += 1


class Heir(Counter):
    """Has its hook from another callback."""


def test_hooks_that_do_something_are_called_and_empty_ones_are_not_there() -> None:
    called: list[str] = []
    by_name = LambdaCallback(on_before_zero_grad=lambda *_: called.append("zero"))
    counter, heir, saver = Counter(), Heir(), ModelCheckpoint(save_top_k=0)
    running = trainer(counter, heir, by_name, StopAtDivergence(), saver, enable_checkpointing=True)
    spare(running)
    running.fit(network(echo()), echo())
    assert (counter.count, heir.count, called) == (6, 6, ["zero"] * 6)
    assert isinstance(running.profiler, NoProfiler)
    for callback in (counter, heir, saver):
        assert [hook for hook in HOOKS if getattr(callback, hook)] == ["on_train_batch_end"]


def test_the_same_network_comes_out() -> None:
    ends = []
    for lean in (False, True):
        model, running = network(echo()), trainer(StopAtDivergence())
        if lean:
            spare(running)
        running.fit(model, echo())
        ends.append([parameter.tolist() for parameter in model.parameters()])
    assert ends[0] == ends[1]


def test_a_profiler_sees_everything() -> None:
    profiler = SimpleProfiler()
    running = trainer(Counter(), profiler=profiler)
    spare(running)
    running.fit(network(echo()), echo())
    assert running.profiler is profiler
    assert len(profiler.recorded_durations["[Callback]Counter.on_before_zero_grad"]) == 6
    assert len(profiler.recorded_durations["run_training_batch"]) == 6


def test_a_trainer_that_profiles_nothing_still_has_the_profiler_that_is_looked_for() -> None:
    assert type(trainer().profiler) is PassThroughProfiler


class Tracer(Callback):
    """Writes down every call of a hook of a step, with what it was given and what the trainer says at that moment.

    Args:
        logs: Whether to use the model's ``log`` as well.
    """

    def __init__(self, logs: bool) -> None:
        self.logs = logs
        self.seen: list[tuple[Any, ...]] = []

    def see(self, hook: str, trainer: Trainer, *given: Any) -> None:
        loop = trainer.fit_loop.epoch_loop
        counts = (trainer.global_step, trainer.current_epoch, loop.batch_idx, loop._batches_that_stepped)
        name = trainer.lightning_module._current_fx_name
        self.seen.append((hook, name, *counts, *map(plain, given), dict(trainer.callback_metrics)))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.see("start", trainer, batch, batch_idx)

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self.see("zero", trainer, optimizer, [parameter.grad for parameter in pl_module.parameters()])

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if self.logs:
            pl_module.log("logged", loss)
            pl_module.log("mine", loss.item(), on_step=True, on_epoch=True, batch_size=8)
        self.see("before", trainer, loss, loss.requires_grad)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.see("after", trainer, torch.is_grad_enabled(), [parameter.grad for parameter in pl_module.parameters()])

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        self.see("step", trainer, optimizer, [parameter.grad for parameter in pl_module.parameters()])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        rates = [group["lr"] for group in trainer.optimizers[0].param_groups]
        self.see("end", trainer, outputs, batch, batch_idx, rates, [p.grad for p in pl_module.parameters()])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.see("validated", trainer)


def plain(value: Any) -> Any:
    """Something that can be compared."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Optimizer):
        return type(value).__name__
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def history(
    lean: bool, task: Task, make: Callable[[Task], RecurrentModel], logs: bool = True, **options: Any
) -> tuple[Any, ...]:
    """All that can be seen of a run, and whether it took the shorter way."""
    tracer, notebook, model = Tracer(logs), Notebook(), make(task)
    running = trainer(tracer, notebook=notebook, **options)
    if lean:
        spare(running)
    running.fit(model, task)
    loop = running.fit_loop
    seen = (
        tracer.seen,
        notebook.rows,
        plain(list(model.parameters())),
        plain(running.optimizers[0].state_dict()),
        plain(loop.state_dict()),
        plain(dict(running.callback_metrics)),
    )
    assert len(tracer.seen) > 20
    return seen, getattr(loop.epoch_loop, "hooks", None) is not None


def scheduled(task: Task) -> RecurrentModel:
    """A network whose rate goes down."""
    torch.manual_seed(3)
    optimizer = partial(torch.optim.SGD, lr=0.1, momentum=0.5)
    return SequenceTagger(ELMAN, task.spec, optimizer, schedule=WarmupLinear)


def by_epochs(task: Task) -> RecurrentModel:
    """A network whose rate goes down at each epoch."""
    torch.manual_seed(3)
    halved = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    return SequenceTagger(GATED, task.spec, partial(torch.optim.Adam, lr=0.02), lr_scheduler=halved)


class Telling(SequenceTagger):
    """Returns more than a loss, and nothing at all at one step."""

    def training_step(self, batch: Batch, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        return None if batch_idx == 2 else {"loss": loss, "told": batch_idx}


def telling(task: Task) -> RecurrentModel:
    """A network that tells more."""
    torch.manual_seed(3)
    return Telling(ELMAN, task.spec, partial(torch.optim.Adam, lr=0.02))


def short_epochs() -> Echo:
    """Epochs of three batches, the last one smaller."""
    return Echo(delay=1, sequence_length=5, min_eval_length=5, max_eval_length=6, alphabet_size=3, batch_size=8,
                epoch_sequences=20, val_sequences=20, eval_batch_size=12)  # fmt: skip


class Clipping(SequenceTagger):
    """Clips its gradients in a way of its own."""

    def configure_gradient_clipping(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad.clamp_(-1e-3, 1e-3)


def clipping(task: Task) -> RecurrentModel:
    """A network that clips by itself."""
    torch.manual_seed(3)
    return Clipping(ELMAN, task.spec, partial(torch.optim.SGD, lr=0.1))


@pytest.mark.parametrize(
    ("task", "make", "options"),
    [
        (echo, network, {}),
        (echo, network, {"accumulate_grad_batches": 2}),
        (echo, network, {"logs": False}),
        (echo, clipping, {}),
        (echo, scheduled, {"gradient_clip_val": 0.01}),
        (echo, scheduled, {"gradient_clip_val": 0.001, "gradient_clip_algorithm": "value"}),
        (echo, telling, {"gradient_clip_val": 1.0}),
        (grammar, network, {"log_every_n_steps": 2}),
        (short_epochs, by_epochs, {"check_val_every_n_epoch": 1, "val_check_interval": 1.0, "max_epochs": 3}),
        (short_epochs, network, {"limit_train_batches": 2}),
    ],
)
@pytest.mark.filterwarnings("ignore:.training_step. returned .None.")
def test_the_shorter_way_differs_in_nothing_that_can_be_seen(
    task: Callable[[], Task], make: Callable[[Task], RecurrentModel], options: dict[str, Any]
) -> None:
    expected, _ = history(False, task(), make, **options)
    found, shorter = history(True, task(), make, **options)
    assert shorter
    for one, other in zip(found, expected, strict=True):
        assert one == other


class Watchful(SequenceTagger):
    """Has a hook of a step of its own."""

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> int | None:
        return -1 if batch_idx == 3 else None


class Reading(Echo):
    """Has a hook of a batch of its own."""

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        return batch._replace(inputs=batch.inputs.flip(0), targets=batch.targets.flip(0))


def watchful(task: Task) -> RecurrentModel:
    """A network that ends its epoch early."""
    torch.manual_seed(3)
    return Watchful(ELMAN, task.spec, partial(torch.optim.Adam, lr=0.02))


@pytest.mark.parametrize(
    ("task", "make", "options"),
    [
        (echo, network, {"precision": "bf16-mixed"}),
        (short_epochs, watchful, {"max_epochs": 2}),
        (partial(Reading, delay=1, sequence_length=5, min_eval_length=5, max_eval_length=6, batch_size=8), network, {}),
    ],
)
def test_what_is_not_usual_goes_lightnings_way(
    task: Callable[[], Task], make: Callable[[Task], RecurrentModel], options: dict[str, Any]
) -> None:
    expected, _ = history(False, task(), make, **options)
    found, shorter = history(True, task(), make, **options)
    assert not shorter
    assert found == expected


def test_a_callback_may_begin_to_accumulate_at_a_later_epoch() -> None:
    ends = []
    for lean in (False, True):
        model, task = network(echo()), short_epochs()
        running = trainer(GradientAccumulationScheduler({0: 1, 1: 3}), max_epochs=3, max_steps=-1)
        if lean:
            spare(running)
        running.fit(model, task)
        ends.append((running.global_step, plain(list(model.parameters()))))
    assert ends[0][0] == 5
    assert ends[0] == ends[1]
