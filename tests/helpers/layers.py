"""Small networks with all kinds of layers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from rnn_tasks.cores import (
    GRU,
    LEM,
    LMU,
    LRU,
    LSTM,
    MLSTM,
    RGLRU,
    RNN,
    S4D,
    S6,
    SLSTM,
    Blocks,
    Chrono,
    Core,
    CoRNN,
    DeltaNet,
    Elman,
    Foreign,
    Henaff,
    IndRNN,
    MinGRU,
    MinLSTM,
    ResetOnlyGRU,
    ScratchGRU,
    ScratchLSTM,
    StackRNN,
    UpdateOnlyGRU,
)
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.tasks import VariableDelayEcho

TASK = VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=4, batch_size=3)
BATCH = TASK.train_batch(0)
LSTMS: dict[str, Callable[[int], Core]] = {
    "LSTM with two layers": partial(LSTM, hidden_size=5, num_layers=2, dropout=0.5),
    "ScratchLSTM": partial(ScratchLSTM, hidden_size=5),
    "foreign LSTM": partial(Foreign, hidden_size=5, layer=nn.LSTM, options={"bias": False}),
}
GRUS: dict[str, Callable[[int], Core]] = {
    "GRU with two layers": partial(GRU, hidden_size=5, num_layers=2, dropout=0.5),
    "ScratchGRU after": partial(ScratchGRU, hidden_size=5),
    "ScratchGRU before": partial(ScratchGRU, hidden_size=5, reset="before", num_layers=2),
    "ScratchGRU with one bias": partial(ScratchGRU, hidden_size=5, reset="before", single_bias=True),
    "ResetOnlyGRU after": partial(ResetOnlyGRU, hidden_size=5, single_bias=True),
    "ResetOnlyGRU before": partial(ResetOnlyGRU, hidden_size=5, reset="before"),
    "UpdateOnlyGRU": partial(UpdateOnlyGRU, hidden_size=5),
    "foreign GRU": partial(Foreign, hidden_size=5, layer=nn.GRU, options={"num_layers": 2}),
}
PLAIN: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=5),
    "orthogonal": partial(Elman, hidden_size=5, orthogonal_map="matrix_exp"),
    "RNN with two layers": partial(RNN, hidden_size=5, num_layers=2),
    "foreign RNN": partial(Foreign, hidden_size=5, layer=nn.RNN),
}
CORES = {**PLAIN, **GRUS, **LSTMS}


def tagger(core: Callable[[int], Core], **options: Any) -> TaggerNetwork:
    return TaggerNetwork(core, TASK.spec, **options).double()


def language_network(core: Callable[[int], Core]) -> LanguageNetwork:
    return LanguageNetwork(core, TaskSpec(4, 4)).double()


def text(rows: int, time: int) -> Batch:
    symbols = torch.randint(4, (rows, time + 1), generator=torch.Generator().manual_seed(1))
    return Batch(symbols[:, :-1], symbols[:, 1:])


MODERN: dict[str, Callable[[int], Core]] = {
    "LRU": partial(LRU, hidden_size=5, num_states=4, r_min=0.3, r_max=0.95),
    "LRU with a diagonal skip": partial(LRU, hidden_size=3, max_phase=0.5),
    "S4D": partial(S4D, hidden_size=4, num_states=4),
    "S4D with inverse frequencies": partial(S4D, hidden_size=3, num_states=6, frequency_init="inverse"),
    "MinGRU": partial(MinGRU, hidden_size=5),
    "MinGRU with positive states": partial(MinGRU, hidden_size=5, positive=True, gate_bias=Chrono(20)),
    "MinLSTM": partial(MinLSTM, hidden_size=5),
    "MinLSTM with positive states": partial(MinLSTM, hidden_size=5, positive=True, gate_bias=Chrono(20)),
    "RGLRU": partial(RGLRU, hidden_size=6, heads=2),
    "IndRNN": partial(IndRNN, hidden_size=5, max_recurrent=1.01),
    "IndRNN with tanh": partial(IndRNN, hidden_size=5, activation="tanh", recurrent_min=-1.0),
    "LEM": partial(LEM, hidden_size=5),
    "LEM with two layers": partial(LEM, hidden_size=4, dt=0.5, num_layers=2),
    "CoRNN": partial(CoRNN, hidden_size=5, dt=0.3, gamma=1.0, epsilon=0.5),
    "LMU": partial(LMU, hidden_size=5, order=4, theta=6.0),
    "LMU with two signals": partial(LMU, hidden_size=4, order=3, theta=9.0, num_signals=2),
    "Elman with modReLU": partial(Elman, hidden_size=5, activation="modrelu"),
    "expRNN": partial(Elman, hidden_size=5, activation="modrelu", recurrent_init=Henaff(), orthogonal_map="matrix_exp"),
    "S6": partial(S6, hidden_size=5, num_states=4),
    "SLSTM": partial(SLSTM, hidden_size=4, heads=2),
    "StackRNN with two stacks": partial(StackRNN, hidden_size=5, num_stacks=2, stack_depth=4, cell_size=2),
    "blocks of S6": partial(Blocks, hidden_size=4, core=partial(S6, num_states=2)),
    "blocks of GRU": partial(Blocks, hidden_size=4, core=GRU, kernel_size=3),
    "DeltaNet": partial(DeltaNet, hidden_size=6, heads=2),
    "gated DeltaNet": partial(DeltaNet, hidden_size=6, heads=2, max_beta=2, decay="learned", window=3),
    "DeltaProduct": partial(DeltaNet, hidden_size=4, max_beta=2, decay="learned", products=2, window=1),
    "linear attention": partial(DeltaNet, hidden_size=6, heads=3, delta=False),
    "MLSTM": partial(MLSTM, hidden_size=6, heads=2),
    "RetNet": partial(DeltaNet, hidden_size=6, heads=2, decay="fixed", delta=False),
}
"""Layers of which tests/cores/test_contract.py tests all that a recurrent layer must do; called with the input size."""
