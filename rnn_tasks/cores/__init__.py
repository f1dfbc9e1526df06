"""Recurrent layers, called like ``torch.nn.RNN`` with ``batch_first=True``, and initialisations of their weights."""

from rnn_tasks.cores.block import Block
from rnn_tasks.cores.blocks import Blocks
from rnn_tasks.cores.co_rnn import CoRNN
from rnn_tasks.cores.core import Core
from rnn_tasks.cores.delta_net import DeltaNet
from rnn_tasks.cores.elman import Elman
from rnn_tasks.cores.foreign import Foreign
from rnn_tasks.cores.gate_bias import Chrono, GateBias, GateBiases
from rnn_tasks.cores.indrnn import IndRNN
from rnn_tasks.cores.lem import LEM
from rnn_tasks.cores.lmu import LMU
from rnn_tasks.cores.lru import LRU
from rnn_tasks.cores.min_gru import MinGRU
from rnn_tasks.cores.min_lstm import MinLSTM
from rnn_tasks.cores.mlstm import MLSTM
from rnn_tasks.cores.recurrent_init import (
    Cayley,
    Henaff,
    Identity,
    Normal,
    NormalizedPositiveDefinite,
    Orthogonal,
    RecurrentInit,
    Xavier,
)
from rnn_tasks.cores.rg_lru import RGLRU
from rnn_tasks.cores.s4d import S4D
from rnn_tasks.cores.s6 import S6
from rnn_tasks.cores.scan import differentiable_twice
from rnn_tasks.cores.scratch_gru import ResetOnlyGRU, ScratchGRU, UpdateOnlyGRU
from rnn_tasks.cores.scratch_lstm import ScratchLSTM
from rnn_tasks.cores.slstm import SLSTM
from rnn_tasks.cores.stack_rnn import StackRNN
from rnn_tasks.cores.state import State, map_state
from rnn_tasks.cores.torch_layers import GRU, LSTM, RNN
from rnn_tasks.cores.unrolled import Unrolled

__all__ = [
    "GRU",
    "LEM",
    "LMU",
    "LRU",
    "LSTM",
    "MLSTM",
    "RGLRU",
    "RNN",
    "S4D",
    "S6",
    "SLSTM",
    "Block",
    "Blocks",
    "Cayley",
    "Chrono",
    "CoRNN",
    "Core",
    "DeltaNet",
    "Elman",
    "Foreign",
    "GateBias",
    "GateBiases",
    "Henaff",
    "Identity",
    "IndRNN",
    "MinGRU",
    "MinLSTM",
    "Normal",
    "NormalizedPositiveDefinite",
    "Orthogonal",
    "RecurrentInit",
    "ResetOnlyGRU",
    "ScratchGRU",
    "ScratchLSTM",
    "StackRNN",
    "State",
    "Unrolled",
    "UpdateOnlyGRU",
    "Xavier",
    "differentiable_twice",
    "map_state",
]
