"""Recurrent layers, tasks and networks for the tests of networks and models."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from rnn_tasks.cores import GRU, LSTM, RNN, Core, Elman, Foreign
from rnn_tasks.networks import LanguageNetwork, TaggerNetwork
from rnn_tasks.networks.sequence_network import ConditionAt
from rnn_tasks.spec import TaskSpec
from rnn_tasks.spec.vocabulary import Vocabulary
from rnn_tasks.tasks import Copy, Echo, GeneratedTask, VariableDelayEcho

CONDITION_AT: tuple[ConditionAt, ...] = ("input", "readout", "both")
CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=6),
    "matrix_exp": partial(Elman, hidden_size=6, orthogonal_map="matrix_exp"),
    "RNN": partial(RNN, hidden_size=6),
    "GRU": partial(GRU, hidden_size=6),
    "LSTM": partial(LSTM, hidden_size=6),
    "Foreign": partial(Foreign, hidden_size=6, layer=nn.GRU),
}
ELMAN = CORES["Elman"]
TEXT_CORES: dict[str, Callable[[int], Core]] = {
    "Elman": partial(Elman, hidden_size=6, num_layers=2),
    "GRU": partial(GRU, hidden_size=6),
    "LSTM": partial(LSTM, hidden_size=6, num_layers=2),
    "Foreign": partial(Foreign, hidden_size=6, layer=nn.LSTM),
}
TASKS: dict[str, GeneratedTask] = {
    "echo": Echo(delay=2, sequence_length=7, alphabet_size=5),
    "variable_delay_echo": VariableDelayEcho(max_delay=3, sequence_length=7, alphabet_size=5),
    "copy": Copy("recall", num_symbols=3, alphabet_size=5, delay=4, min_delay=2),
}
TEXT = TaskSpec(5, 5, vocabulary=Vocabulary("abc ", prefix="ab"))


def tagger_network(
    task: str = "variable_delay_echo", core: Callable[[int], Core] = ELMAN, **options: Any
) -> TaggerNetwork:
    return TaggerNetwork(core, TASKS[task].spec, **options)


def language_network(core: str = "LSTM", spec: TaskSpec = TEXT, **options: Any) -> LanguageNetwork:
    return LanguageNetwork(TEXT_CORES[core], spec, **options)
