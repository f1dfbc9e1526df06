from pathlib import Path

import numpy as np
import pytest
import torch

from rnn_tasks.analysis.linear_probe import Probe, linear_probe
from rnn_tasks.plots.memory import draw_accuracy_by_lag, draw_capacities, draw_probes
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.report import probes
from rnn_tasks.report.blocks import Picture
from rnn_tasks.report.memory import caption_by_lag, memory_section, shares_by_lag
from rnn_tasks.report.probes import (
    capacities,
    informative,
    lags_of,
    probe,
    probed_steps,
    reach,
)
from rnn_tasks.report.run_data import load_runs
from rnn_tasks.runs.find import RunPlace
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar, VariableDelayEcho
from tests.helpers.report_runs import made, network_of, remembers


def test_probes_read_what_a_register_holds_and_no_more() -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=120, min_eval_length=12, max_eval_length=12)
    run = made(task, network=remembers(task, 3), untrained=remembers(task, 1))
    assert run.batch is not None
    trained, untrained = probe(run.network, run.untrained, run.batch)
    assert trained.lags.tolist() == list(range(12))
    assert (reach(trained), reach(untrained)) == (2, 0)
    for found, length in ((trained, 3), (untrained, 1)):
        assert (found.accuracy[:length] == 1).all()
        assert (found.accuracy[length:9] < 0.4).all()  # of four letters; the last lags have few places


def test_reach_ends_at_the_first_gap() -> None:
    chance = np.full(4, 0.25)
    of = Probe(np.arange(4), np.array([1, 1, 0, 1.0]), chance, chance, chance, np.full(4, 9))
    assert reach(of) == 1
    assert reach(of._replace(accuracy=np.zeros(4))) is None


def test_a_copy_is_probed_where_a_symbol_was_that_many_steps_ago() -> None:
    task = Copy(layout="arjovsky", num_symbols=4, delay=50, test_sequences=60)
    batch = made(task).batch
    assert batch is not None
    assert informative(batch.inputs.numpy(), task.spec).sum(axis=1).tolist() == [4] * 60
    found = dict(probed_steps(batch, task.spec))
    assert max(found) == 56  # two of the four symbols, of 60 sequences; there are only 60 places for 57 steps
    for lag, where in found.items():
        sequences, steps = where.nonzero()
        assert ((steps - lag >= 0) & (steps - lag < 4)).all()
        assert len(sequences) == 60 * min(4, 58 - lag)


def test_probed_steps_end_with_the_sequence_and_are_not_too_many() -> None:
    task = Echo(delay=2, test_sequences=60, min_eval_length=10, max_eval_length=20)
    batch = made(task).batch
    assert batch is not None
    for _, where in probed_steps(batch, task.spec):
        assert (batch.inputs.numpy()[where] != task.spec.blank).all()
    few = list(probed_steps(batch, task.spec, samples=200))
    counts = [int(where.sum()) for _, where in few]
    assert max(counts) < 240  # about; sequences differ in length
    for _, where in few:  # the same steps of all sequences that are long enough
        longest = where[where.sum(axis=1).argmax()]
        assert not (where & ~longest).any()


def test_what_the_time_alone_tells_is_chance() -> None:
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.choice(4, (60, 12), p=[0.6, 0.2, 0.1, 0.1]))
    inputs[:, ::2] = 3 - inputs[:, ::2]  # another symbol is the commonest at every other step
    batch = Batch(inputs, inputs)
    spec = TaskSpec(4, 4)
    clock = np.broadcast_to(np.eye(12), (60, 12, 12))
    for lag, where in probed_steps(batch, spec):
        found = linear_probe(clock, inputs.numpy(), [lag], num_shuffles=5, where=where)
        assert found.accuracy[0] > found.chance[0]
        assert found.lags_above_chance == []


def test_all_symbols_of_a_text_tell_something() -> None:
    symbols = np.array([[0, 1, 2]])
    assert informative(symbols, ElmanGrammar().spec).all()
    assert informative(symbols, TaskSpec(3, 3, blank=1)).tolist() == [[True, False, True]]


def test_lags_are_dense_and_reach_the_longest() -> None:
    for longest in (0, 7, 30, 31, 45, 1009):
        lags = lags_of(longest)
        assert lags == sorted(set(lags))
        assert lags[: probes.DENSE] == list(range(min(longest + 1, probes.DENSE)))
        assert lags[-1] == longest
        assert len(lags) <= probes.DENSE + probes.WIDE + 1


def test_memory_capacity_of_registers() -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=40)
    size = task.spec.input_size
    found = capacities(remembers(task, 6), remembers(task, 2), made(task).batch)
    assert found.units == 6 * size
    # Lag 0 is no memory, and chance is not taken off.
    assert found.trained.total - found.trained.chance == pytest.approx(5, rel=0.03)
    assert found.untrained.total - found.untrained.chance == pytest.approx(1, rel=0.05)
    assert (found.trained.by_lag[:5] > 0.99).all()


def test_known_symbols_are_letters_with_the_last_condition() -> None:
    task = VariableDelayEcho(max_delay=3, alphabet_size=5, test_sequences=20)
    encodings = probes.known_symbols(network_of(task), made(task).batch)
    assert encodings[:, :6].tolist() == torch.eye(6)[1:].tolist()  # without the empty symbol
    assert encodings[:, 6:].tolist() == [[0, 0, 0, 1]] * 5
    grammar = ElmanGrammar(test_characters=2000)
    known = probes.known_symbols(network_of(grammar), made(grammar).batch)
    assert known[:, 0].sum() == 0  # without <unk>, which never occurs


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_accuracy_by_delay_with_chance(width: float) -> None:
    task = VariableDelayEcho(max_delay=3, test_sequences=40)
    runs = [made(task, "A: one"), made(task, "B: two")]
    found = [(run, share) for run in runs if (share := shares_by_lag(run)) is not None]
    named = [(run.label, share) for run, share in found]
    figure = draw_accuracy_by_lag(named, True, [task.baseline.accuracy] * 2, width)
    (field,) = figure.axes
    assert (field.get_xlabel(), field.get_ylabel()) == ("delay, steps", "share of right answers")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A: one", "B: two", "chance"]
    assert field.lines[0].get_xdata().tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    assert np.allclose(field.lines[2].get_ydata(), 1 / 26)
    assert "B: two" in caption_by_lag(found)


def test_a_copy_is_shown_by_place_and_says_how_long_it_waits() -> None:
    run = made(Copy(layout="arjovsky", num_symbols=4, delay=7, test_sequences=20))
    share = shares_by_lag(run)
    assert share is not None
    assert run.wait == 11
    assert "read 11 steps before" in caption_by_lag([(run, share)])
    (field,) = draw_accuracy_by_lag([(run.label, share)], False, [], WIDE).axes
    assert np.asarray(field.lines[0].get_xdata()).tolist() == [1, 2, 3, 4]
    assert made(Copy(layout="recall", delay=7, min_delay=3, test_sequences=20)).wait is None


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pictures_of_two_runs_have_a_field_each(width: float) -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=60)
    model, batch = network_of(task), made(task).batch
    assert batch is not None
    both = probe(model, model, batch)
    figure = draw_probes([("A: one", both), ("B: two", both)], width)
    assert [field.get_title(loc="left") for field in figure.axes] == ["A: one", "B: two"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["trained", "untrained", "band of chance", "commonest symbol"]
    assert figure.axes[0].get_xlabel() == "steps ago (lag)"
    found = capacities(model, model, batch)
    figure = draw_capacities([("A: one", found), ("B: two", found)], width)
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trained", "untrained", "chance"]


def test_the_section_of_a_run(trained_logs: Path) -> None:
    (run,) = load_runs([RunPlace(trained_logs / "variable_delay_echo" / "version_0")])
    section = memory_section([run])
    pictures = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert section.key == "remembering"
    assert pictures == ["accuracy_by_delay", "linear_probe", "memory_capacity"]
    of = section.numbers["probe"][run.label]["trained"]
    assert len(of["accuracy"]) == len(of["lags"])
    assert f"{len(of['lags_above_chance'])} of {len(of['lags'])} lags" in section.blocks[1].caption  # type: ignore[union-attr]
    capacity = section.numbers["memory_capacity"][run.label].trained.total
    assert f"{capacity:.1f} of 8" in section.blocks[2].caption  # type: ignore[union-attr]


def test_a_text_has_no_delays() -> None:
    section = memory_section([made(ElmanGrammar(test_characters=3000))])
    assert [block.name for block in section.blocks if isinstance(block, Picture)] == ["linear_probe", "memory_capacity"]
    assert section.missing == []


def test_what_cannot_be_shown_is_said() -> None:
    task = Copy(test_sequences=20)
    broken = network_of(task)
    with torch.no_grad():
        next(iter(broken.core.parameters())).fill_(float("nan"))
    section = memory_section([made(task, "A: broken", network=broken), made(task, "B: whole", batch=None)])
    said = [line.partition(": the network has diverged")[0] for line in section.missing]
    assert any(line.startswith("A: broken: what probes read") for line in said)
    assert any(line.startswith("A: broken: memory capacity") for line in said)
    assert list(section.numbers["memory_capacity"]) == ["B: whole"]
    assert section.numbers["probe"] == {}
