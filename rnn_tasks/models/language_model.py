"""A model that reads a text and says, at every character, which one comes next."""

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torch.optim import Optimizer

from rnn_tasks.cores import Core, RecurrentInit, State
from rnn_tasks.cores.state import map_state
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.runs.trained_network import CHECKPOINT_KEY
from rnn_tasks.spec import Baseline, Batch, TaskSpec


class LanguageModel(RecurrentModel):
    """Predicts the next character of a text, with a state that is carried from batch to batch.

    Where a batch continues the previous one, so does the state, without its gradient; elsewhere it starts at zero.
    Training, validation and test each have a state of their own. That of training is saved in checkpoints, so that a
    resumed run goes on in the middle of a text.

    Logged for each stage: ``loss`` (nats per character), ``perplexity`` (``exp(loss)``), ``bits_per_character``
    (``loss / ln 2``) and ``accuracy``, all from sums over characters; ``train`` is one batch, ``train_epoch`` all
    characters since the epoch began, read while the weights were changing.

    Args:
        core: The recurrent layer, made from the size of its input.
        spec: The task's sizes and vocabulary; on the command line they come from the task.
        optimizer: The optimizer, made from the parameters.
        embedding_size: Size of a learned embedding of the characters; None for one-hot.
        dropout: Share of the layer's outputs that the readout does not see in training, ``0 <= dropout < 1``.
        readout_init: How the readout's matrix starts, its bias then at zero; None for torch's own.
        zero_blank_weights: Whether the input weights of a blank start at zero; text has none.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Learning rate over optimizer steps; None for a constant one.
        lr_scheduler: One of torch's schedules, which go by epochs, instead.

    Raises:
        UsageError: A value outside its bounds.

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
        # Not buffers: DDP would give every process the state of the first one.
        self.carried: dict[str, State] = {}
        self.epoch_sums = torch.zeros(2, dtype=torch.double)
        self.restored: dict[str, Any] | None = None

    def logits(self, batch: Batch, stage: str) -> Tensor:
        """Logits of the next characters; where the batch continues the previous one, so does the stage's state."""
        state = self.carried.get(stage) if batch.continues else None
        logits: Tensor
        logits, state = self(batch.inputs, state=state)
        self.carried[stage] = map_state(state, torch.detach)
        return logits

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """Loss, perplexity, bits per character and accuracy."""
        return {**per_character(scores["loss"]), "accuracy": scores["accuracy"]}

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """The loss, perplexity and accuracy of counting, and the least loss that there can be, where it is known."""
        values = {"baseline_perplexity": math.exp(baseline.loss), **super().baseline_measures(baseline)}
        return values if baseline.floor is None else {**values, "floor": baseline.floor}

    def summed_loss(self, batch: Batch, stage: str) -> tuple[Tensor, Tensor]:
        """As in every model; the characters of training batches are added to those of the epoch."""
        total, logits = super().summed_loss(batch, stage)
        if stage == "train":
            loss, characters = self.epoch_sums.unbind()
            loss.add_(total.detach())
            characters.add_(batch.scored.sum())
        return total, logits

    def generate(self, prefix: str, length: int, temperature: float = 0.7, seed: int = 0) -> str:
        """A text that continues a prefix, see :meth:`rnn_tasks.networks.LanguageNetwork.generate`."""
        return self.network.generate(prefix, length, temperature, seed)

    def on_train_start(self) -> None:
        """Go on with the state of a resumed run, or forget that of an earlier fit."""
        restored, self.restored = self.restored, None
        self.carried = {}
        wide = torch.float if self.device.type == "mps" else torch.double  # which mps does not have
        self.epoch_sums = torch.zeros(2, dtype=wide, device=self.device)
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        if restored is not None and self.trainer.ckpt_path and len(restored["train"]) == world_size:
            self.carried["train"] = map_state(restored["train"][rank], lambda values: values.to(self.device))
            self.epoch_sums.copy_(restored["sums"][rank])

    def on_train_epoch_end(self) -> None:
        """Log the loss over all characters of the epoch."""
        loss, count = self.trainer.strategy.reduce(self.epoch_sums.clone(), reduce_op="sum")
        self.epoch_sums.zero_()
        if count:
            values = per_character(float(loss / count))
            self.log_dict({f"train_epoch/{name}": value for name, value in values.items()}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the training state of every process."""
        super().on_save_checkpoint(checkpoint)
        own = (map_state(self.carried.get("train"), torch.Tensor.cpu), self.epoch_sums.cpu())
        every: list[Any] = [own]
        if self.trainer.world_size > 1:
            every = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(every, own)
        states, sums = zip(*every, strict=True)
        checkpoint[CHECKPOINT_KEY] |= {"train": list(states), "sums": list(sums)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the training state until training starts."""
        super().on_load_checkpoint(checkpoint)
        stored = checkpoint.get(CHECKPOINT_KEY, {})
        self.restored = stored if "train" in stored else None


def per_character(loss: float) -> dict[str, float]:
    """The loss in its three usual units.

    Args:
        loss: Nats per character.
    """
    perplexity = math.exp(min(loss, 700.0))  # the largest power that a float can hold
    return {"loss": loss, "perplexity": perplexity, "bits_per_character": loss / math.log(2)}
