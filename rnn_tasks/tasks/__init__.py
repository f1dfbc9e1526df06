"""The tasks. Each is a LightningDataModule; YAML files name it by its class."""

from rnn_tasks.tasks.adding import Adding
from rnn_tasks.tasks.automaton import Automaton
from rnn_tasks.tasks.copy import Copy
from rnn_tasks.tasks.counting import Counting
from rnn_tasks.tasks.digits import Digits
from rnn_tasks.tasks.dyck import Dyck
from rnn_tasks.tasks.echo import Echo
from rnn_tasks.tasks.elman_grammar import ElmanGrammar
from rnn_tasks.tasks.elman_letters import ElmanLetters
from rnn_tasks.tasks.elman_xor import ElmanXor
from rnn_tasks.tasks.flip_flop import FlipFlop
from rnn_tasks.tasks.flip_flop_bits import FlipFlopBits
from rnn_tasks.tasks.generated import GeneratedTask
from rnn_tasks.tasks.induction import Induction
from rnn_tasks.tasks.language_task import LanguageTask
from rnn_tasks.tasks.mackey_glass import MackeyGlass
from rnn_tasks.tasks.narma import Narma
from rnn_tasks.tasks.reber import Reber
from rnn_tasks.tasks.recall import Recall
from rnn_tasks.tasks.reverse import Reverse
from rnn_tasks.tasks.selective_copy import SelectiveCopy
from rnn_tasks.tasks.task import Task
from rnn_tasks.tasks.temporal_order import TemporalOrder
from rnn_tasks.tasks.text import Text
from rnn_tasks.tasks.time_machine import TimeMachine
from rnn_tasks.tasks.variable_delay_echo import VariableDelayEcho
from rnn_tasks.tasks.word_problem import WordProblem

__all__ = [
    "Adding",
    "Automaton",
    "Copy",
    "Counting",
    "Digits",
    "Dyck",
    "Echo",
    "ElmanGrammar",
    "ElmanLetters",
    "ElmanXor",
    "FlipFlop",
    "FlipFlopBits",
    "GeneratedTask",
    "Induction",
    "LanguageTask",
    "MackeyGlass",
    "Narma",
    "Reber",
    "Recall",
    "Reverse",
    "SelectiveCopy",
    "Task",
    "TemporalOrder",
    "Text",
    "TimeMachine",
    "VariableDelayEcho",
    "WordProblem",
]
