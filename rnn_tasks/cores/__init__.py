"""Recurrent layers, called as ``torch.nn.RNN`` is with ``batch_first=True``, and how their weights start."""

from rnn_tasks.cores.core import Core
from rnn_tasks.cores.elman import Elman
from rnn_tasks.cores.foreign import Foreign
from rnn_tasks.cores.gate_bias import Chrono, GateBias, GateBiases
from rnn_tasks.cores.recurrent_init import (
    Cayley,
    Henaff,
    Identity,
    Normal,
    Orthogonal,
    RecurrentInit,
    Xavier,
)
from rnn_tasks.cores.torch_layers import GRU, LSTM, RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Cayley",
    "Chrono",
    "Core",
    "Elman",
    "Foreign",
    "GateBias",
    "GateBiases",
    "Henaff",
    "Identity",
    "Normal",
    "Orthogonal",
    "RecurrentInit",
    "Xavier",
]
