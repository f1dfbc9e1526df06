"""A model that predicts the next character of a text."""

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.cores import Core, RecurrentInit, State
from rnn_tasks.cores.state import map_state
from rnn_tasks.errors import require
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY
from rnn_tasks.spec import Baseline, Batch, TaskSpec
from rnn_tasks.tasks import LanguageTask, Task
from rnn_tasks.tasks.task import notify


class LanguageModel(RecurrentModel):
    """Predicts the next character of a text, with a state that is carried from batch to batch.

    If a batch continues the previous batch, the network starts from the previous state, detached from its graph;
    otherwise from zero. Training, validation and test have separate states. Checkpoints hold the state of training, so
    that a resumed run continues in the middle of a text, unless an option that determines the rows has changed.

    Metrics of each stage: ``loss`` (nats per character), ``perplexity`` (``exp(loss)``), ``bits_per_character``
    (``loss / ln 2``) and ``accuracy``, all computed from sums over characters. The stage ``train`` is one batch;
    ``train_epoch`` is all characters of an epoch, each predicted with the weights at that time.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes and vocabulary of the task; on the command line they come from the task.
        optimizer: Function that builds the optimizer from the parameters.
        embedding_size: Size of a learned embedding of the characters; None for one-hot vectors.
        dropout: Dropout probability of the layer's outputs before the readout, in training, ``0 <= dropout < 1``.
        readout_init: Initialisation of the readout's matrix, with a bias of zero; None for torch's.
        zero_blank_weights: Whether the input weights of the blank start at zero; no effect on texts, which have none.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Schedule of the learning rate over optimizer steps; None for a constant rate.
        lr_scheduler: Schedule of torch, which steps after each epoch, or after each validation if an epoch never ends;
            a ReduceLROnPlateau always steps after each validation. Give either this or ``schedule``.

    Raises:
        UsageError: A value is outside its bounds, or the task has no text.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.spec import Vocabulary
        >>> spec = TaskSpec(4, 4, vocabulary=Vocabulary("abc"))
        >>> model = LanguageModel(partial(GRU, hidden_size=8), spec, torch.optim.Adam)
        >>> len(model.generate("abba", 6).replace("<unk>", "?"))
        10
    """

    network_class = LanguageNetwork
    network: LanguageNetwork

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        readout_init: RecurrentInit | None = None,
        zero_blank_weights: bool = False,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        require(
            spec.vocabulary is not None,
            "LanguageModel needs a task on text, such as TimeMachine; for the other tasks set model: SequenceTagger",
        )
        super().__init__(
            self.network_class(
                core,
                spec,
                embedding_size=embedding_size,
                dropout=dropout,
                readout_init=readout_init,
                zero_blank_weights=zero_blank_weights,
            ),
            optimizer,
            recurrent_lr_factor=recurrent_lr_factor,
            input_lr_factor=input_lr_factor,
            schedule=schedule,
            lr_scheduler=lr_scheduler,
        )
        # These are not buffers, because DDP would overwrite them with the buffers of the first process.
        self.carried: dict[str, State] = {}
        self.epoch_sums = torch.zeros(2, dtype=torch.double)
        self.restored: dict[str, Any] | None = None

    def outputs(self, batch: Batch, stage: str, scored: Tensor | None = None) -> Tensor:
        """Return logits; if the batch continues the previous batch, start from the state of the stage."""
        state = self.carried.get(stage) if batch.continues else None
        logits: Tensor
        logits, state = self(batch.inputs, state=state, scored=scored)
        self.carried[stage] = map_state(state, torch.detach)
        return logits

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """Return loss, perplexity, bits per character and accuracy."""
        return {**per_character(scores["loss"]), "accuracy": scores["accuracy"]}

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """Return the loss, perplexity and accuracy of the baseline, and the lowest possible loss if it is known."""
        return {"baseline_perplexity": math.exp(baseline.loss), **super().baseline_measures(baseline)}

    def summed_loss(self, batch: Batch, stage: str) -> tuple[Tensor, Tensor]:
        """Return the summed loss and the logits; add the loss of training batches to the sums of the epoch."""
        total, logits = super().summed_loss(batch, stage)
        if stage == "train":
            loss, characters = self.epoch_sums.unbind()
            loss.add_(total.detach())
            characters.add_(batch.scored.sum())
        return total, logits

    def generate(self, prefix: str, length: int, temperature: float = 0.7, seed: int = 0) -> str:
        """Return a text that continues a prefix, see :meth:`rnn_tasks.networks.LanguageNetwork.generate`."""
        return self.network.generate(prefix, length, temperature, seed)

    def setup(self, stage: str) -> None:
        """Check that the characters of the task are those of the network, or encode its texts for this network."""
        super().setup(stage)
        task = getattr(self.trainer, "datamodule", None)
        if isinstance(task, Task):
            task.adapt_to(self.spec, for_training=stage == "fit")

    def on_train_start(self) -> None:
        """Restore the training state of a resumed run; discard the state of an earlier fit."""
        restored, self.restored = self.restored, None
        self.carried = {}
        dtype = torch.float if self.device.type == "mps" else torch.double  # mps has no double precision
        self.epoch_sums = torch.zeros(2, dtype=dtype, device=self.device)
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        if restored is not None and self.trainer.ckpt_path and len(restored["train"]) == world_size:
            self.epoch_sums.copy_(restored["sums"][rank])
            layout = self._layout()
            if restored.get("layout", layout) == layout:
                self.carried["train"] = map_state(restored["train"][rank], lambda values: values.to(self.device))
            else:
                notify("the rows of the text are other ones than before: the network starts from a state of zeros")

    def on_train_epoch_end(self) -> None:
        """Log the mean loss over all characters of the epoch."""
        loss, count = self.trainer.strategy.reduce(self.epoch_sums.clone(), reduce_op="sum")
        self.epoch_sums.zero_()
        if count:
            values = per_character(float(loss / count))
            self.log_dict({f"train_epoch/{name}": value for name, value in values.items()}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the training state of every process to the checkpoint."""
        super().on_save_checkpoint(checkpoint)
        this_process = (map_state(self.carried.get("train"), torch.Tensor.cpu), self.epoch_sums.cpu())
        processes: list[Any] = [this_process]
        if self.trainer.world_size > 1:
            processes = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(processes, this_process)
        states, sums = zip(*processes, strict=True)
        checkpoint[CHECKPOINT_KEY] |= {"train": list(states), "sums": list(sums), "layout": self._layout()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the training state of the checkpoint until training starts."""
        super().on_load_checkpoint(checkpoint)
        stored = checkpoint.get(CHECKPOINT_KEY, {})
        self.restored = stored if "train" in stored else None

    def _layout(self) -> list[Any] | None:
        task = getattr(self.trainer, "datamodule", None)
        return task.layout if isinstance(task, LanguageTask) else None


def per_character(loss: float) -> dict[str, float]:
    """Return the loss, the perplexity and the bits per character.

    Args:
        loss: Loss in nats per character.
    """
    perplexity = math.exp(min(loss, 700.0))  # exp(710) overflows
    return {"loss": loss, "perplexity": perplexity, "bits_per_character": loss / math.log(2)}
