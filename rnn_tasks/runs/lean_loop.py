"""What Lightning's training loop does at every step of a small network, and need not."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.loops.fetchers import _DataFetcher, _DataLoaderIterDataFetcher
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.spec import Batch

HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""The hooks of callbacks that are called at every step."""

EPOCH_HOOKS = ("on_train_epoch_start", "on_train_epoch_end")
"""Those that are called at every epoch, which may be a few steps."""

TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
MODEL_HOOKS = (*HOOKS, "backward", "optimizer_step", "optimizer_zero_grad")
"""Hooks of the model at every step; Lightning's own do what :class:`LeanEpochLoop` does."""

NOTHING = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, without a context of its own for each of the hundred calls of a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]  # Lightning's is a generator
        """One context for all."""
        return NOTHING


def spare(trainer: Trainer) -> None:
    """Spare the loop what has no effect, unless a profiler was asked for, whose table should be Lightning's.

    For a callback without a hook Lightning still makes a name and enters a profiler's context to call the empty one.
    What cannot be called it passes over, so an empty hook becomes None on the callback.

    Args:
        trainer: The trainer, with all its callbacks, before it trains.
    """
    if type(trainer.profiler) is not PassThroughProfiler:  # type: ignore[attr-defined]
        return
    trainer.profiler = NoProfiler()  # type: ignore[attr-defined]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for hook in (*HOOKS, *EPOCH_HOOKS):
            if unchanged(callback, Callback, hook):
                setattr(callback, hook, None)
    whole = trainer.fit_loop.epoch_loop
    trainer.fit_loop.epoch_loop = LeanEpochLoop(trainer, whole.min_steps, whole.max_steps)


def unchanged(owner: object, base: type, *names: str) -> bool:
    """Whether all methods of these names are still those of a base class."""
    return all(name not in vars(owner) and getattr(type(owner), name) is getattr(base, name) for name in names)


class LeanEpochLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, with a shorter way through the step that nearly all runs take.

    One device, full precision, one optimizer that steps at every batch, and a model and a task that leave Lightning's
    hooks of a step as they are: then the way from the batch to the optimizer is known, and is taken without asking at
    each turn. All callbacks, counters, clipping, schedules and validations are as in Lightning's, in the same order;
    every other run goes Lightning's way.

    Attributes:
        usual: Whether the run is such a one; None before the first epoch.
        algorithm: How Lightning clips gradients; None where the model does it.
        hooks: The callbacks' hooks of a step by name; None while Lightning's way is taken.
    """

    usual: bool | None = None
    algorithm: GradClipAlgorithmType | None = None
    hooks: dict[str, list[Callable[..., None]]] | None = None

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        """Find out which way the epoch goes, now that everything is set up."""
        super().on_run_start(data_fetcher)
        if self.usual is None:
            self.usual = self._is_usual(data_fetcher)
            if unchanged(self.trainer.lightning_module, LightningModule, "configure_gradient_clipping"):
                self.algorithm = GradClipAlgorithmType(self.trainer.gradient_clip_algorithm or "norm")
        if self.usual:
            callbacks = self.trainer.callbacks
            found = {name: [getattr(callback, name) for callback in callbacks] for name in HOOKS}
            self.hooks = {name: [hook for hook in hooks if callable(hook)] for name, hooks in found.items()}

    def _is_usual(self, data_fetcher: _DataFetcher) -> bool:
        trainer, model = self.trainer, self.trainer.lightning_module
        owners = [model] if trainer.datamodule is None else [model, trainer.datamodule]
        return bool(
            type(trainer.strategy) is SingleDeviceStrategy
            and type(trainer.precision_plugin) is Precision
            and model.automatic_optimization
            and trainer.strategy.model is model
            and len(trainer.optimizers) == 1
            and not isinstance(data_fetcher, _DataLoaderIterDataFetcher)
            and unchanged(model, LightningModule, *MODEL_HOOKS)
            and all(unchanged(owner, DataHooks, *TRANSFER_HOOKS) for owner in owners)
            and "batch_idx" in self._build_kwargs(OrderedDict(), None, 0)
        )

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Train on a batch.

        Raises:
            StopIteration: There is none.
        """
        trainer, progress = self.trainer, self.batch_progress
        # A callback may begin to accumulate, or to average weights, at any epoch.
        changed = trainer.accumulate_grad_batches != 1 or self.automatic_optimization._skip_backward
        if self.hooks is None or self.restarting or changed:
            return super().advance(data_fetcher)
        connector = trainer._logger_connector
        self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        index = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        if isinstance(batch, Batch):
            batch = batch.to(trainer.strategy.root_device)
        else:
            batch = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
        progress.increment_ready()
        connector.on_batch_start(batch)
        self._call("on_train_batch_start", batch, index)
        progress.increment_started()
        output = self._optimize(batch, index)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        self._call("on_train_batch_end", output, batch, index)
        if self._results:  # something was logged by the model's `log`
            connector.on_batch_end()
        progress.increment_completed()
        if self._results:
            connector.update_train_step_metrics()
        self._results.batch = self._results.batch_size = None
        return None

    def _optimize(self, batch: Any, index: int) -> dict[str, Any]:
        """A step of the optimizer; what the model's training step returned, its loss without a graph."""
        trainer, model = self.trainer, self.trainer.lightning_module
        optimizer = trainer.optimizers[0]
        progress = self.automatic_optimization.optim_progress.optimizer
        result = ClosureResult(None)

        def closure() -> Tensor | None:
            nonlocal result
            with torch.enable_grad():
                model._current_fx_name = "training_step"
                output = model.training_step(batch, index)
                model._current_fx_name = None
                # Lightning divides the loss by the number of accumulated batches, which is one.
                plain = type(output) is Tensor
                result = ClosureResult(output) if plain else ClosureResult.from_training_step_output(output)
                progress.zero_grad.increment_ready()
                self._call("on_before_zero_grad", optimizer)
                progress.zero_grad.increment_started()
                optimizer.zero_grad()
                progress.zero_grad.increment_completed()
                if result.closure_loss is not None:
                    self._call("on_before_backward", result.closure_loss)
                    result.closure_loss.backward()  # type: ignore[no-untyped-call]
                    self._call("on_after_backward")
            self._call("on_before_optimizer_step", optimizer)
            self._clip(optimizer)
            return result.loss

        progress.step.increment_ready()
        optimizer.step(closure)
        progress.step.increment_completed()
        return {} if result.loss is None else result.asdict()

    def _clip(self, optimizer: Optimizer) -> None:
        """Clip the gradients as the trainer asks; Lightning would look four times whether it knows the algorithm."""
        trainer, clip = self.trainer, self.trainer.gradient_clip_val
        if self.algorithm is not None:
            trainer.precision_plugin.clip_gradients(optimizer, clip or 0.0, self.algorithm)
        else:
            trainer.lightning_module.configure_gradient_clipping(
                optimizer, gradient_clip_val=clip, gradient_clip_algorithm=trainer.gradient_clip_algorithm
            )

    def _call(self, hook: str, *args: Any) -> None:
        """Call the callbacks' hooks of a name."""
        assert self.hooks is not None
        if not self.hooks[hook]:
            return
        model = self.trainer.lightning_module
        before, model._current_fx_name = model._current_fx_name, hook
        for function in self.hooks[hook]:
            function(self.trainer, model, *args)
        model._current_fx_name = before
