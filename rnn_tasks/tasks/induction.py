"""Induction head: say which symbol followed the trigger when it occurred before."""

import math
import string
from typing import Any, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from rnn_tasks.errors import require
from rnn_tasks.spec import NOT_SCORED, Baseline, Batch, Codec, Grouping, Plateau, Repeat, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.unordered import unordered_accuracy, unordered_loss

Score = Literal["answer", "all"]
SYMBOLS = string.ascii_lowercase + string.ascii_uppercase + string.digits
TRIGGER = ":"


def induction(symbols: Tensor, triggers: Tensor, trigger: int) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of induction head sequences.

    ::

        length=6           time      0 1 2 3 4 5 6
        score=answer       inputs    d a : b d a :
                           targets   - - - - - - b

        length=6           time      0 1 2 3 4 5 6
        score=all          inputs    d a : b d a :
                           targets   a : b d a : b

    ':' is the trigger, '-' a step that is not scored. The returned targets are those of ``score=all``: the next input,
    and at the end the symbol that followed the first trigger.

    Args:
        symbols: Random symbols, ``(batch, length)``.
        triggers: The step of the first trigger, ``0..length - 2``, ``(batch,)``.
        trigger: The trigger's index.

    Returns:
        Inputs and targets, each ``(batch, length + 1)``.
    """
    triggers = triggers[:, None]
    inputs = functional.pad(symbols.scatter(1, triggers, trigger), (0, 1), value=trigger)
    return inputs, torch.cat([inputs[:, 1:], inputs.gather(1, triggers + 1)], 1)


class Induction(GeneratedTask):
    """Say which symbol followed the trigger: the induction head task of the repository safari.

    Random symbols contain a trigger at a random step; at the end the trigger comes again, and the answer is the symbol
    that followed the first trigger. :func:`induction` draws one sequence. Only this answer counts for the accuracy.

    The length of a sequence is the number of steps before the last trigger. Results are sorted by the lag, the number
    of steps between the two triggers.

    Args:
        vocabulary: Number of different symbols without the trigger, ``>= 2``.
        length: Steps before the last trigger, ``>= 3``.
        score: ``answer``: the loss is that of the answer. ``all``: the loss is the mean over all steps, which predict
            the next symbol; apart from the answer these are random, so the loss has a high floor. The original trains
            with ``all`` and tests with ``answer``.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds.

    References:
        D. Fu et al., "Hungry hungry hippos: towards language modeling with state space models", ICLR 2023
        (https://arxiv.org/abs/2212.14052, https://github.com/HazyResearch/safari).

    Example:
        >>> task = Induction()
        >>> f"{task.baseline.accuracy:.4f} {task.plateaus[0].accuracy:.4f}"
        '0.0556 0.1473'
    """

    def __init__(self, vocabulary: int = 18, length: int = 30, score: Score = "answer", **options: Any) -> None:
        super().__init__(**options)
        require(vocabulary >= 2, f"vocabulary must be at least 2, got {vocabulary}")
        require(length >= 3, f"length must be at least 3, got {length}")
        require(score in ("answer", "all"), f"score must be answer or all, got {score}")
        self.vocabulary = vocabulary
        self.length = length
        self.training_length = length
        self.scores_all = score == "all"

    @property
    def spec(self) -> TaskSpec:
        """The symbols are 0, 1, ...; then comes the trigger, which is a target with ``score=all`` only."""
        size = self.vocabulary
        return TaskSpec(size + 1, size + self.scores_all, codec=self._codec() if size <= len(SYMBOLS) else None)

    def _codec(self) -> Codec:
        symbols = SYMBOLS[: self.vocabulary] + TRIGGER
        example = self.sample(1, "test", torch.Generator().manual_seed(0)).inputs[0, :-1].tolist()
        return Codec(
            symbols,
            symbols,
            cue=(Repeat(self.vocabulary, constant=1),),
            answer_per_letter=1,
            num_letters=self.length,
            sample="".join(symbols[symbol] for symbol in example),
        )

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows the frequency of each symbol at each step.

        The loss of the answer is ln V. With ``score=all``, the trigger can come first at ``length - 2`` steps. A
        target at one of these steps is the trigger with probability q = 1 / (length - 2), so its loss is h(q) + (1 - q)
        ln V, where h is the entropy of a yes or no. The target before the last trigger has no loss. The floor is
        the entropy of a sequence without its first symbol, ln (length - 2) + (length - 1) ln V - h(q) - (1 - q) ln V,
        divided by the number of steps.
        """
        size, places = math.log(self.vocabulary), self.length - 2
        if not self.scores_all:
            return Baseline(size, 1 / self.vocabulary)
        share = 1 / places
        rest = 1 - share
        unsure = -share * math.log(share) - (rest * math.log(rest) if rest else 0.0)
        maybe_trigger = unsure + rest * size
        steps = self.length + 1
        floor = (math.log(places) + (self.length - 1) * size - maybe_trigger) / steps
        # All steps where the trigger may come, but the first, are targets; then come two symbols, and the answer.
        return Baseline(((places - 1) * maybe_trigger + 3 * size) / steps, 1 / self.vocabulary, floor=floor)

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """A predictor that knows how often each symbol occurred, but not where.

        The answer is one of the ``length - 1`` symbols with equal probability.
        """
        occurred = self.length - 1
        loss = None if self.scores_all else unordered_loss(occurred, self.vocabulary)
        accuracy = unordered_accuracy(occurred, self.vocabulary)
        return (Plateau("knows which symbols occurred, not where", loss, accuracy),)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of steps between the two triggers."""
        return Grouping("lag", self.length + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with another number of steps before the last trigger."""
        require(length >= 3, f"eval_lengths must be at least 3, got {length}")
        return self.changed(length=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random symbols, and the step of the first trigger."""
        symbols = torch.randint(0, self.vocabulary, (num_sequences, self.length), generator=generator)
        triggers = torch.randint(0, self.length - 2, (num_sequences,), generator=generator)
        inputs, targets = induction(symbols, triggers, self.vocabulary)
        memory = (torch.arange(self.length + 1) == self.length).expand_as(inputs)
        if not self.scores_all:
            targets = targets.masked_fill(~memory, NOT_SCORED)
        return Batch(inputs, targets, memory, group=self.length - triggers[:, None])
