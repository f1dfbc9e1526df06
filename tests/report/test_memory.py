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
from rnn_tasks.runs.find import RunLocation
from rnn_tasks.spec import Batch, TaskSpec
from rnn_tasks.tasks import Copy, Echo, ElmanGrammar, TemporalOrder, VariableDelayEcho
from tests.helpers.report_runs import make_run, register_network, small_network


def test_probe_reads_exactly_the_length_of_a_register() -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=120, min_eval_length=12, max_eval_length=12)
    run = make_run(task, network=register_network(task, 3), untrained=register_network(task, 1))
    assert run.batch is not None
    trained, untrained = probe(run.network, run.untrained, run.batch)
    assert trained.lags.tolist() == list(range(12))
    assert (reach(trained), reach(untrained)) == (2, 0)
    for found, length in ((trained, 3), (untrained, 1)):
        assert (found.accuracy[:length] == 1).all()
        assert (found.accuracy[length:9] < 0.4).all()  # four letters; the last lags have few samples


def test_reach_ends_at_the_first_gap() -> None:
    chance = np.full(4, 0.25)
    probes_by_lag = Probe(np.arange(4), np.array([1, 1, 0, 1.0]), chance, chance, chance, np.full(4, 9))
    assert reach(probes_by_lag) == 1
    assert reach(probes_by_lag._replace(accuracy=np.zeros(4))) is None


def test_probed_steps_of_copy_are_lag_steps_after_letters() -> None:
    task = Copy(layout="arjovsky", num_symbols=4, delay=50, test_sequences=60)
    batch = make_run(task).batch
    assert batch is not None
    assert informative(batch.inputs.numpy(), task.spec).sum(axis=1).tolist() == [4] * 60
    found = dict(probed_steps(batch, task.spec))
    assert max(found) == 56  # 2 of the 4 symbols in 60 sequences are 120 samples; lag 57 has only 60
    for lag, where in found.items():
        sequences, steps = where.nonzero()
        assert ((steps - lag >= 0) & (steps - lag < 4)).all()
        assert len(sequences) == 60 * min(4, 58 - lag)


def test_probed_steps_end_with_the_sequence_and_are_bounded() -> None:
    task = Echo(delay=2, test_sequences=60, min_eval_length=10, max_eval_length=20)
    batch = make_run(task).batch
    assert batch is not None
    for _, where in probed_steps(batch, task.spec):
        assert (batch.inputs.numpy()[where] != task.spec.blank).all()
    few = list(probed_steps(batch, task.spec, max_samples=200))
    counts = [int(where.sum()) for _, where in few]
    assert max(counts) < 240  # the bound is approximate: sequences differ in length
    for _, where in few:  # equal steps in all sequences that are long enough
        longest = where[where.sum(axis=1).argmax()]
        assert not (where & ~longest).any()


def test_probe_of_the_time_step_alone_is_at_chance() -> None:
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.choice(4, (60, 12), p=[0.6, 0.2, 0.1, 0.1]))
    inputs[:, ::2] = 3 - inputs[:, ::2]  # the most frequent symbol alternates between two symbols
    batch = Batch(inputs, inputs)
    spec = TaskSpec(4, 4)
    clock = np.broadcast_to(np.eye(12), (60, 12, 12))
    for lag, where in probed_steps(batch, spec):
        found = linear_probe(clock, inputs.numpy(), [lag], num_shuffles=5, where=where)
        assert found.accuracy[0] > found.chance[0]
        assert found.lags_above_chance == []


def test_informative_includes_all_symbols_of_a_text() -> None:
    symbols = np.array([[0, 1, 2]])
    assert informative(symbols, ElmanGrammar().spec).all()
    assert informative(symbols, TaskSpec(3, 3, blank=1)).tolist() == [[True, False, True]]


def test_lags_of_is_dense_and_reaches_the_longest_lag() -> None:
    for longest in (0, 7, 30, 31, 45, 1009):
        lags = lags_of(longest)
        assert lags == sorted(set(lags))
        assert lags[: probes.DENSE] == list(range(min(longest + 1, probes.DENSE)))
        assert lags[-1] == longest
        assert len(lags) <= probes.DENSE + probes.SPARSE + 1


def test_capacities_of_a_register_equal_its_length() -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=40)
    size = task.spec.input_size
    found = capacities(register_network(task, 6), register_network(task, 2), make_run(task).batch)
    assert found.units == 6 * size
    # Lag 0 does not count as memory, and chance is not subtracted.
    assert found.trained.total - found.trained.chance == pytest.approx(5, rel=0.03)
    assert found.untrained.total - found.untrained.chance == pytest.approx(1, rel=0.05)
    assert (found.trained.by_lag[:5] > 0.99).all()


def test_encoded_letters_use_the_last_condition() -> None:
    task = VariableDelayEcho(max_delay=3, alphabet_size=5, test_sequences=20)
    encodings = probes.encoded_letters(small_network(task), make_run(task).batch)
    assert encodings[:, :6].tolist() == torch.eye(6)[1:].tolist()  # without the empty symbol
    assert encodings[:, 6:].tolist() == [[0, 0, 0, 1]] * 5
    grammar = ElmanGrammar(test_characters=2000)
    encodings_of_text = probes.encoded_letters(small_network(grammar), make_run(grammar).batch)
    assert encodings_of_text[:, 0].sum() == 0  # <unk> does not occur


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_accuracy_by_delay_is_drawn_with_chance(width: float) -> None:
    task = VariableDelayEcho(max_delay=3, test_sequences=40)
    runs = [make_run(task, "A: one"), make_run(task, "B: two")]
    found = [(run, share) for run in runs if (share := shares_by_lag(run)) is not None]
    named = [(run.label, share) for run, share in found]
    figure = draw_accuracy_by_lag(named, True, [task.baseline.accuracy] * 2, width)
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("delay, time steps", "accuracy")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A: one", "B: two", "chance"]
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    assert np.allclose(ax.lines[2].get_ydata(), 1 / 26)
    assert "B: mean" in caption_by_lag(found)


def test_accuracy_of_copy_is_by_position_with_recall_lag() -> None:
    run = make_run(Copy(layout="arjovsky", num_symbols=4, delay=7, test_sequences=20))
    share = shares_by_lag(run)
    assert share is not None
    assert run.recall_lag == 11
    assert "read each symbol 11 steps before" in caption_by_lag([(run, share)])
    (ax,) = draw_accuracy_by_lag([(run.label, share)], False, [], WIDE).axes
    assert np.asarray(ax.lines[0].get_xdata()).tolist() == [1, 2, 3, 4]
    assert make_run(Copy(layout="recall", delay=7, min_delay=3, test_sequences=20)).recall_lag is None


def test_one_position_in_the_answer_is_no_picture() -> None:
    assert shares_by_lag(make_run(TemporalOrder(test_sequences=20))) is None


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_pictures_of_two_runs_have_a_panel_each(width: float) -> None:
    task = Echo(delay=1, alphabet_size=4, test_sequences=60)
    model, batch = small_network(task), make_run(task).batch
    assert batch is not None
    pair = probe(model, model, batch)
    figure = draw_probes([("A: one", pair), ("B: two", pair)], width)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["A: one", "B: two"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["trained", "untrained", "chance range", "most frequent symbol"]
    assert figure.axes[0].get_xlabel() == "lag, time steps"
    found = capacities(model, model, batch)
    figure = draw_capacities([("A: one", found), ("B: two", found)], width)
    assert len(figure.axes) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trained", "untrained", "chance"]


def test_section_of_a_run_has_all_parts(trained_logs: Path) -> None:
    (run,) = load_runs([RunLocation(trained_logs / "variable_delay_echo" / "version_0")])
    section = memory_section([run])
    pictures = [block.name for block in section.blocks if isinstance(block, Picture)]
    assert section.key == "remembering"
    assert pictures == ["accuracy_by_delay", "linear_probe", "memory_capacity"]
    of = section.numbers["probe"][run.label]["trained"]
    assert len(of["accuracy"]) == len(of["lags"])
    assert f"{len(of['lags_above_chance'])} of {len(of['lags'])} lags" in section.blocks[1].caption  # type: ignore[union-attr]
    capacity = section.numbers["memory_capacity"][run.label].trained.total
    assert f"{capacity:.1f} of 8" in section.blocks[2].caption  # type: ignore[union-attr]


def test_section_of_a_text_has_no_accuracy_by_delay() -> None:
    section = memory_section([make_run(ElmanGrammar(test_characters=3000))])
    assert [block.name for block in section.blocks if isinstance(block, Picture)] == ["linear_probe", "memory_capacity"]
    assert section.missing == []


def test_section_lists_parts_that_cannot_be_shown() -> None:
    task = Copy(test_sequences=20)
    broken = small_network(task)
    with torch.no_grad():
        next(iter(broken.core.parameters())).fill_(float("nan"))
    section = memory_section([make_run(task, "A: broken", network=broken), make_run(task, "B: whole", batch=None)])
    assert any(line.startswith("A: linear probes: ") for line in section.missing)
    assert any(line.startswith("A: memory capacity: ") for line in section.missing)
    assert list(section.numbers["memory_capacity"]) == ["B: whole"]
    assert section.numbers["probe"] == {}
