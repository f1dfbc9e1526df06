"""A network that predicts the next character of a text."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnn_tasks.cores import Core, RecurrentInit
from rnn_tasks.cores.evaluation_mode import evaluation_mode
from rnn_tasks.errors import UsageError, require
from rnn_tasks.networks.network import Network, linear_readout
from rnn_tasks.spec import TaskSpec


class LanguageNetwork(Network):
    """Encodes characters, runs a recurrent layer and predicts the next character after each one.

    Args:
        core: Function that builds the recurrent layer from the size of its input.
        spec: Sizes and vocabulary of the task.
        embedding_size: Size of a learned embedding of the characters; None for one-hot vectors.
        dropout: Dropout probability of the layer's outputs before the readout, in training, ``0 <= dropout < 1``.
        readout_init: Initialisation of the readout's matrix, with a bias of zero; None for torch's.
        zero_blank_weights: Whether the input weights of the blank start at zero; no effect on texts, which have none.

    Raises:
        UsageError: A value is outside its bounds.

    Example:
        >>> from functools import partial
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.spec import Vocabulary
        >>> network = LanguageNetwork(partial(GRU, hidden_size=8), TaskSpec(4, 4, vocabulary=Vocabulary("abc")))
        >>> len(network.generate("abba", 6).replace("<unk>", "?"))
        10
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        spec: TaskSpec,
        embedding_size: int | None = None,
        dropout: float = 0.0,
        readout_init: RecurrentInit | None = None,
        zero_blank_weights: bool = False,
    ) -> None:
        super().__init__(core, spec, embedding_size=embedding_size, zero_blank_weights=zero_blank_weights)
        require(0 <= dropout < 1, f"dropout must be at least 0 and below 1, got {dropout}")
        self.dropout = dropout
        self.readout: nn.Linear = nn.Linear(self.core.hidden_size, spec.output_size)
        if readout_init is not None:
            readout_init(self.readout.weight)
            nn.init.zeros_(self.readout.bias)

    def read_out(self, hidden: Tensor, condition: Tensor | None = None, scored: Tensor | None = None) -> Tensor:
        """Return logits, see :meth:`Network.read_out`."""
        return linear_readout(self.readout, functional.dropout(hidden, self.dropout, self.training), scored)

    @torch.no_grad()
    def generate(self, prefix: str, length: int, temperature: float = 0.7, seed: int = 0) -> str:
        """Return a text that continues a prefix.

        Args:
            prefix: The text that the network reads first, at least one character.
            length: Number of characters to generate, ``>= 0``.
            temperature: Divisor of the logits before a character is drawn, ``>= 0``. Below 1 it makes likely characters
                more likely, above 1 less likely; 0 always chooses the most likely character.
            seed: Seed of the random draws.

        Returns:
            The prefix and the generated characters; a character outside the vocabulary is written ``<unk>``.

        Raises:
            UsageError: A value is outside its bounds, or the network was not trained on text.
        """
        vocabulary = self.spec.vocabulary
        if vocabulary is None:
            raise UsageError("this network was not trained on text")
        require(bool(prefix), "give a prefix of at least one character")
        require(length >= 0, f"length must be at least 0, got {length}")
        require(0 <= temperature < math.inf, f"temperature must be at least 0, got {temperature}")
        generator = torch.Generator().manual_seed(seed)
        symbols: list[int] = []
        inputs, state = vocabulary.encode(prefix)[None].to(self.device), None
        with evaluation_mode(self):
            while len(symbols) < length:
                logits, state = self(inputs, state=state)
                last_logits = logits[0, -1].cpu().double()  # in this order: some devices have no float64
                if temperature:
                    choice = torch.multinomial((last_logits / temperature).softmax(-1), 1, generator=generator)
                else:
                    choice = last_logits.argmax(-1, keepdim=True)
                symbols.append(int(choice))
                inputs = choice[None].to(self.device)
        return prefix + vocabulary.decode(symbols)
