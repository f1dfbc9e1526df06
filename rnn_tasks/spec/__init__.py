"""The interface between tasks and models: batches, sizes and strings of tasks, baselines."""

from rnn_tasks.spec.batch import NOT_SCORED, Batch
from rnn_tasks.spec.codec import Codec, Repeat
from rnn_tasks.spec.task_spec import BEST_POSSIBLE, Baseline, Grouping, Plateau, TaskSpec
from rnn_tasks.spec.vocabulary import UNKNOWN, Vocabulary

__all__ = [
    "BEST_POSSIBLE",
    "NOT_SCORED",
    "UNKNOWN",
    "Baseline",
    "Batch",
    "Codec",
    "Grouping",
    "Plateau",
    "Repeat",
    "TaskSpec",
    "Vocabulary",
]
