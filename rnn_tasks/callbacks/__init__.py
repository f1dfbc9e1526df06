"""Callbacks that change the weights or the run, and callbacks that only measure (``...Monitor``, ``...Recorder``)."""

from rnn_tasks.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from rnn_tasks.callbacks.eigenvalue_monitor import EigenvalueMonitor
from rnn_tasks.callbacks.exact_resume import ExactResume
from rnn_tasks.callbacks.gate_monitor import GateMonitor
from rnn_tasks.callbacks.generation_monitor import GenerationMonitor
from rnn_tasks.callbacks.gradient_lag_monitor import GradientLagMonitor
from rnn_tasks.callbacks.gradient_norm_monitor import GradientNormMonitor
from rnn_tasks.callbacks.hidden_state_monitor import HiddenStateMonitor
from rnn_tasks.callbacks.histogram_monitor import HistogramMonitor
from rnn_tasks.callbacks.prediction_writer import PredictionWriter
from rnn_tasks.callbacks.progress import Progress
from rnn_tasks.callbacks.reorthogonalize import Reorthogonalize
from rnn_tasks.callbacks.run_summary import RunSummary
from rnn_tasks.callbacks.sample_monitor import SampleMonitor
from rnn_tasks.callbacks.saturation_monitor import SaturationMonitor
from rnn_tasks.callbacks.snapshot_recorder import SnapshotRecorder
from rnn_tasks.callbacks.spectral_norm_monitor import SpectralNormMonitor
from rnn_tasks.callbacks.stop_at_accuracy import StopAtAccuracy
from rnn_tasks.callbacks.stop_at_divergence import StopAtDivergence
from rnn_tasks.callbacks.stop_on_signal import StopOnSignal
from rnn_tasks.callbacks.throughput_monitor import ThroughputMonitor

__all__ = [
    "BestCheckpoint",
    "EigenvalueMonitor",
    "ExactResume",
    "GateMonitor",
    "GenerationMonitor",
    "GradientLagMonitor",
    "GradientNormMonitor",
    "HiddenStateMonitor",
    "HistogramMonitor",
    "LastCheckpoint",
    "PredictionWriter",
    "Progress",
    "Reorthogonalize",
    "RunSummary",
    "SampleMonitor",
    "SaturationMonitor",
    "SnapshotRecorder",
    "SpectralNormMonitor",
    "StopAtAccuracy",
    "StopAtDivergence",
    "StopOnSignal",
    "ThroughputMonitor",
]
