"""What the plug-in adds: a config can name these classes without their modules."""

from rnn_tasks_example.layer import LeakyRNN
from rnn_tasks_example.task import FirstLetter

__all__ = ["FirstLetter", "LeakyRNN"]
