"""Models: LightningModules that train a network."""

from rnn_tasks.models.language_model import LanguageModel
from rnn_tasks.models.recurrent_model import RecurrentModel
from rnn_tasks.models.schedules import Milestones, Schedule, WarmupLinear
from rnn_tasks.models.scores import Errors, GroupMeans, Scores
from rnn_tasks.models.sequence_regressor import SequenceRegressor
from rnn_tasks.models.sequence_tagger import SequenceTagger

__all__ = [
    "Errors",
    "GroupMeans",
    "LanguageModel",
    "Milestones",
    "RecurrentModel",
    "Schedule",
    "Scores",
    "SequenceRegressor",
    "SequenceTagger",
    "WarmupLinear",
]
