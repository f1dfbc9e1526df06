"""A network that reads a text and says, at every character, which one comes next."""

import math
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from rnn_tasks.cores import Core, RecurrentInit, State
from rnn_tasks.errors import UsageError
from rnn_tasks.models.recurrent_model import CHECKPOINT_KEY, RecurrentModel, read_out
from rnn_tasks.models.schedules import Schedule
from rnn_tasks.runs.trainer_facts import publish
from rnn_tasks.spec import Baseline, Batch, TaskSpec


def mapped(state: State, function: Callable[[Tensor], Tensor]) -> State:
    """A layer's state, whatever tuples, lists and dictionaries it is made of, with a function applied to its tensors.

    Example:
        >>> mapped((torch.zeros(1), [torch.ones(1)]), torch.neg)
        (tensor([-0.]), [tensor([-1.])])
    """
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, dict):
        return {name: mapped(value, function) for name, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(mapped(value, function) for value in state))
    if isinstance(state, tuple):
        return tuple(mapped(value, function) for value in state)
    if isinstance(state, list):
        return [mapped(value, function) for value in state]
    return state


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
        quiet_blank: Whether the input weights of a blank start at zero; text has none.
        recurrent_lr_factor: Factor on the learning rate of the recurrent matrices, ``>= 0``.
        input_lr_factor: Factor on the learning rate of the layer's input weights and biases, ``>= 0``.
        schedule: Learning rate over optimizer steps; None for a constant one.
        lr_scheduler: One of torch's schedules, which go by epochs, instead.

    Raises:
        UsageError: A value outside its bounds.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.spec.vocabulary import Vocabulary
        >>> spec = TaskSpec(4, 4, vocabulary=Vocabulary("abc"))
        >>> model = LanguageModel(partial(GRU, hidden_size=8), spec, torch.optim.Adam)
        >>> len(model.generate("abba", 6).replace("<unk>", "?"))
        10
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        optimizer: OptimizerCallable,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        readout_init: RecurrentInit | None = None,
        quiet_blank: bool = False,
        recurrent_lr_factor: float = 1.0,
        input_lr_factor: float = 1.0,
        schedule: Callable[[Optimizer, int], Schedule] | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(
            core,
            spec,
            optimizer,
            embedding_size,
            0,
            quiet_blank,
            recurrent_lr_factor,
            input_lr_factor,
            schedule,
            lr_scheduler,
        )
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout must be at least 0 and below 1, got {dropout}")
        self.dropout = dropout
        self.readout = nn.Linear(self.core.hidden_size, spec.output_size)
        if readout_init is not None:
            readout_init(self.readout.weight)
            nn.init.zeros_(self.readout.bias)
        # Not buffers: DDP would give every process the state of the first one.
        self.carried: dict[str, State] = {}
        self.epoch_sums = torch.zeros(2, dtype=torch.double)
        self.restored: dict[str, Any] | None = None

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Logits of the next character after each character, and the state after the last one, with its gradient.

        Args:
            inputs: Symbols, ``(batch, time)`` int64.
            state: As an earlier call returned it; None for zeros.

        Returns:
            ``(batch, time, output_size)``, and the state.
        """
        hidden, state = self.core(self.encode_symbols(inputs), state)
        return read_out(self.readout, functional.dropout(hidden, self.dropout, self.training)), state

    def logits(self, batch: Batch, stage: str) -> Tensor:
        """Those of :meth:`forward`, going on with the stage's state where the batch continues the previous one."""
        logits: Tensor
        logits, state = self(batch.inputs, self.carried.get(stage) if batch.continues else None)
        self.carried[stage] = mapped(state, torch.detach)
        return logits

    def measures(self, scores: dict[str, float]) -> dict[str, float]:
        """Loss, perplexity, bits per character and accuracy."""
        return {**per_character(scores["loss"]), "accuracy": scores["accuracy"]}

    def baseline_measures(self, baseline: Baseline) -> dict[str, float]:
        """The loss, perplexity and accuracy of counting, and the least loss that there can be, where it is known."""
        values = {"baseline_perplexity": math.exp(baseline.loss), **super().baseline_measures(baseline)}
        return values if baseline.floor is None else {**values, "floor": baseline.floor}

    def count_step(self, total: Tensor, scored: Tensor) -> None:
        """Add the characters of a training batch to those of the epoch."""
        super().count_step(total, scored)
        loss, characters = self.epoch_sums.unbind()
        loss.add_(total.detach())
        characters.add_(scored)

    @torch.no_grad()
    def generate(self, prefix: str, length: int, temperature: float = 0.7, seed: int = 0) -> str:
        """A text that goes on after a prefix.

        Args:
            prefix: What the network reads first, at least one character.
            length: Characters to add, ``>= 0``.
            temperature: Divides the logits before a character is drawn, ``>= 0``: below 1 likely characters become
                likelier, above 1 less so; 0 always takes the likeliest.
            seed: Seed of the draws.

        Returns:
            The prefix and ``length`` characters more; the symbol for unknown characters is shown as ``<unk>``.

        Raises:
            UsageError: A value outside its bounds, or a network that was not trained on text.
        """
        vocabulary = self.spec.vocabulary
        if vocabulary is None:
            raise UsageError("this network was not trained on text")
        if not prefix:
            raise UsageError("give a prefix of at least one character")
        if length < 0:
            raise UsageError(f"length must be at least 0, got {length}")
        if not 0 <= temperature < math.inf:
            raise UsageError(f"temperature must be at least 0, got {temperature}")
        generator = torch.Generator().manual_seed(seed)
        training = self.training
        self.eval()
        symbols: list[int] = []
        inputs, state = vocabulary.encode(prefix)[None].to(self.device), None
        while len(symbols) < length:
            logits, state = self(inputs, state)
            last = logits[0, -1].double().cpu()
            if temperature:
                choice = torch.multinomial((last / temperature).softmax(-1), 1, generator=generator)
            else:
                choice = last.argmax(-1, keepdim=True)
            symbols.append(int(choice))
            inputs = choice[None].to(self.device)
        self.train(training)
        return prefix + vocabulary.decode(symbols)

    def on_train_start(self) -> None:
        """Go on with the state of a resumed run, or forget that of an earlier fit."""
        restored, self.restored = self.restored, None
        self.carried = {}
        wide = torch.float if self.device.type == "mps" else torch.double  # which mps does not have
        self.epoch_sums = torch.zeros(2, dtype=wide, device=self.device)
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        if restored is not None and self.trainer.ckpt_path and len(restored["train"]) == world_size:
            self.carried["train"] = mapped(restored["train"][rank], lambda values: values.to(self.device))
            self.epoch_sums.copy_(restored["sums"][rank])

    def on_train_epoch_end(self) -> None:
        """Log the loss over all characters of the epoch."""
        loss, count = self.trainer.strategy.reduce(self.epoch_sums.clone(), reduce_op="sum")
        self.epoch_sums.zero_()
        if count:
            values = per_character(float(loss / count))
            publish(self.trainer, {f"train_epoch/{name}": value for name, value in values.items()}, behind=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the training state of every process."""
        super().on_save_checkpoint(checkpoint)
        own = (mapped(self.carried.get("train"), torch.Tensor.cpu), self.epoch_sums.cpu())
        every: list[Any] = [own]
        if self._fabric is None and self._trainer is not None and self.trainer.world_size > 1:
            every = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(every, own)
        states, sums = zip(*every, strict=True)
        checkpoint[CHECKPOINT_KEY] |= {"train": list(states), "sums": list(sums)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the training state until training starts."""
        stored = checkpoint.get(CHECKPOINT_KEY, {})
        self.restored = stored if "train" in stored else None


def per_character(loss: float) -> dict[str, float]:
    """The loss in its three usual units.

    Args:
        loss: Nats per character.
    """
    perplexity = math.exp(min(loss, 700.0))  # the largest power that a float can hold
    return {"loss": loss, "perplexity": perplexity, "bits_per_character": loss / math.log(2)}
