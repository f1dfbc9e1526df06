"""What is spared must not be missed."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import LambdaCallback, ModelCheckpoint
from lightning.pytorch.profilers import PassThroughProfiler, SimpleProfiler

from rnn_tasks.callbacks import StopAtDivergence
from rnn_tasks.runs.lean_loop import HOOKS, NoProfiler, spare
from tests.callbacks.watched import echo, network, trainer


class Counter(Callback):
    """Counts the ends of steps."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        self.count += 1


class Heir(Counter):
    """Has its hook from another callback."""


def test_hooks_that_do_something_are_called_and_empty_ones_are_not_there() -> None:
    called: list[str] = []
    by_name = LambdaCallback(on_before_zero_grad=lambda *_: called.append("zero"))
    counter, heir, saver = Counter(), Heir(), ModelCheckpoint(save_top_k=0)
    running = trainer(counter, heir, by_name, StopAtDivergence(), saver, enable_checkpointing=True)
    spare(running)
    running.fit(network(echo()), echo())
    assert (counter.count, heir.count, called) == (6, 6, ["zero"] * 6)
    assert isinstance(running.profiler, NoProfiler)
    for callback in (counter, heir, saver):
        assert [hook for hook in HOOKS if getattr(callback, hook)] == ["on_train_batch_end"]


def test_the_same_network_comes_out() -> None:
    ends = []
    for lean in (False, True):
        model, running = network(echo()), trainer(StopAtDivergence())
        if lean:
            spare(running)
        running.fit(model, echo())
        ends.append([parameter.tolist() for parameter in model.parameters()])
    assert ends[0] == ends[1]


def test_a_profiler_sees_everything() -> None:
    profiler = SimpleProfiler()
    running = trainer(Counter(), profiler=profiler)
    spare(running)
    running.fit(network(echo()), echo())
    assert running.profiler is profiler
    assert len(profiler.recorded_durations["[Callback]Counter.on_before_zero_grad"]) == 6
    assert len(profiler.recorded_durations["run_training_batch"]) == 6


def test_a_trainer_that_profiles_nothing_still_has_the_profiler_that_is_looked_for() -> None:
    assert type(trainer().profiler) is PassThroughProfiler
