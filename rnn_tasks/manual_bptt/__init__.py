"""An Elman network that learns to write text, with all gradients derived by hand, in NumPy.

:mod:`~rnn_tasks.manual_bptt.network` defines the network and its equations; :mod:`~rnn_tasks.manual_bptt.training`
trains it. ``python -m rnn_tasks.manual_bptt`` runs an example; ``--help`` lists its options.
"""

from rnn_tasks.manual_bptt.network import (
    Activation,
    Array,
    Gradients,
    Network,
    RecurrentInit,
    Reduction,
    Symbols,
    Trace,
    at_least,
    backward,
    forward,
    initialise,
)
from rnn_tasks.manual_bptt.training import (
    Settings,
    Step,
    chunks,
    clip,
    decode,
    encode,
    evaluate,
    last_loss_by_time_step,
    sample,
    spectral_radius,
    train,
    unigram_entropy,
)

__all__ = [
    "Activation",
    "Array",
    "Gradients",
    "Network",
    "RecurrentInit",
    "Reduction",
    "Settings",
    "Step",
    "Symbols",
    "Trace",
    "at_least",
    "backward",
    "chunks",
    "clip",
    "decode",
    "encode",
    "evaluate",
    "forward",
    "initialise",
    "last_loss_by_time_step",
    "sample",
    "spectral_radius",
    "train",
    "unigram_entropy",
]
