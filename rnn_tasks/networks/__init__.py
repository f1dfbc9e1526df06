"""Networks: encoding, recurrent layer and readout, as plain modules that do not need Lightning."""

from rnn_tasks.networks.conditional_linear import ConditionalLinear
from rnn_tasks.networks.language_network import LanguageNetwork
from rnn_tasks.networks.layer_name import layer_name
from rnn_tasks.networks.network import Network
from rnn_tasks.networks.regressor_network import RegressorNetwork
from rnn_tasks.networks.sequence_network import SequenceNetwork
from rnn_tasks.networks.tagger_network import TaggerNetwork

__all__ = [
    "ConditionalLinear",
    "LanguageNetwork",
    "Network",
    "RegressorNetwork",
    "SequenceNetwork",
    "TaggerNetwork",
    "layer_name",
]
