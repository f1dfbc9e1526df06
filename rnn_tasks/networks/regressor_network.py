"""A network that outputs real values at every step of a sequence."""

from rnn_tasks.networks.sequence_network import SequenceNetwork


class RegressorNetwork(SequenceNetwork):
    """Encodes inputs, runs a recurrent layer and computes real values at every step, with a linear readout.

    The arguments are those of :class:`SequenceNetwork`; ``spec.output_size`` is the number of values per step.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> from rnn_tasks.cores import GRU
        >>> from rnn_tasks.spec import TaskSpec
        >>> network = RegressorNetwork(partial(GRU, hidden_size=8), TaskSpec(2, 1, real_inputs=True, real_targets=True))
        >>> network(torch.rand(3, 5, 2))[0].shape
        torch.Size([3, 5, 1])
    """
