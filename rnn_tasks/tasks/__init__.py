"""The tasks. Each is a LightningDataModule; YAML files name it by its class."""

from rnn_tasks.tasks.adding import Adding
from rnn_tasks.tasks.copy import Copy
from rnn_tasks.tasks.counting import Counting
from rnn_tasks.tasks.digits import Digits
from rnn_tasks.tasks.echo import Echo
from rnn_tasks.tasks.elman_grammar import ElmanGrammar
from rnn_tasks.tasks.flip_flop_bits import FlipFlopBits
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.language_task import LanguageTask
from rnn_tasks.tasks.mackey_glass import MackeyGlass
from rnn_tasks.tasks.narma import Narma
from rnn_tasks.tasks.selective_copy import SelectiveCopy
from rnn_tasks.tasks.task import Task
from rnn_tasks.tasks.temporal_order import TemporalOrder
from rnn_tasks.tasks.text import Text
from rnn_tasks.tasks.time_machine import TimeMachine
from rnn_tasks.tasks.variable_delay_echo import VariableDelayEcho

__all__ = [
    "Adding",
    "Copy",
    "Counting",
    "Digits",
    "Echo",
    "ElmanGrammar",
    "FlipFlopBits",
    "GeneratedTask",
    "LanguageTask",
    "MackeyGlass",
    "Narma",
    "SelectiveCopy",
    "Task",
    "TemporalOrder",
    "Text",
    "TimeMachine",
    "VariableDelayEcho",
]
