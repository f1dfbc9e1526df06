from functools import partial
from typing import Any

import numpy as np
import pytest

from rnn_tasks.analysis.snapshots import joined, take_snapshot
from rnn_tasks.cores import GRU, LSTM, RNN
from rnn_tasks.networks import Network, TaggerNetwork
from rnn_tasks.report.matrices import largest, lines_of, norms, over_training, spectra
from rnn_tasks.tasks import Copy
from tests.helpers.report_runs import curve, make_run

COPY = Copy(test_sequences=20)


def with_layer(layer: Any, **options: Any) -> Network:
    core: Any = partial(layer, hidden_size=5, **options)
    return TaggerNetwork(core, COPY.spec).eval()


def test_spectra_has_each_matrix_before_and_after_training() -> None:
    model, untrained = with_layer(GRU), with_layer(GRU)
    found = spectra(make_run(COPY, network=model, untrained=untrained))
    assert [spectrum.name for spectrum in found] == [f"weight_hh_l0/{gate}" for gate in ("reset", "update", "new")]
    for spectrum in found:
        for values, of in ((spectrum.last, model), (spectrum.first, untrained)):
            weight = of.core.recurrent_weights()[spectrum.name].detach().numpy()
            np.testing.assert_allclose(np.sort(np.abs(values)), np.sort(np.abs(np.linalg.eigvals(weight))), rtol=1e-5)


@pytest.mark.parametrize("first", [0, 10])
def test_spectra_uses_the_snapshot_at_step_zero(first: int) -> None:
    model, untrained, recorded = (with_layer(RNN) for _ in range(3))
    run = make_run(COPY, network=model, untrained=untrained)
    assert run.batch is not None
    kept = joined([take_snapshot(recorded, run.batch, first), take_snapshot(model, run.batch, 20)])
    (spectrum,) = spectra(make_run(COPY, network=model, untrained=untrained, snapshots=kept))
    expected = np.abs(np.linalg.eigvals((recorded if first == 0 else untrained).core.weight_hh_l0.detach().numpy()))  # type: ignore[operator]
    np.testing.assert_allclose(np.sort(np.abs(spectrum.first)), np.sort(expected), rtol=1e-5)


def test_over_training_prefers_radii_of_snapshots() -> None:
    model = with_layer(RNN)
    run = make_run(COPY, network=model, curves={"spectral_radius/weight_hh_l0": curve(9.0)})
    assert over_training(run, "spectral_radius")["weight_hh_l0"].values.tolist() == [9.0]
    assert run.batch is not None
    kept = joined([take_snapshot(model, run.batch, step) for step in (0, 7)])
    found = over_training(make_run(COPY, network=model, snapshots=kept), "spectral_radius")["weight_hh_l0"]
    assert found.steps.tolist() == [0, 7]
    radius = np.abs(np.linalg.eigvals(model.core.weight_hh_l0.detach().numpy())).max()  # type: ignore[operator]
    assert found.values == pytest.approx([radius] * 2)


def test_lines_of_has_one_line_per_matrix_or_per_run() -> None:
    curves = {f"spectral_norm/weight_hh_l0/{gate}": curve(value, 1.0) for gate, value in (("reset", 2.0), ("new", 5.0))}
    run = make_run(COPY, "A: GRU", network=with_layer(GRU), curves=curves)
    assert list(lines_of([run], "spectral_norm")) == ["reset", "new"]
    other = make_run(COPY, "B: none", network=with_layer(GRU))
    several = lines_of([run, other], "spectral_norm")
    assert list(several) == ["A: GRU"]
    assert several["A: GRU"].values.tolist() == [5.0, 1.0]
    many = {f"spectral_norm/weight_hh_l{k}/{g}": curve(1.0) for k in (0, 1) for g in ("input", "forget", "output")}
    deep = make_run(COPY, network=with_layer(LSTM, num_layers=2), curves=many)
    assert list(lines_of([deep], "spectral_norm")) == ["largest over all matrices"]


def test_largest_uses_steps_that_all_curves_have() -> None:
    found = largest({"a": curve(1.0, 4.0), "b": curve(3.0)})
    assert (found.steps.tolist(), found.values.tolist()) == ([9], [3.0])


def test_norms_omits_quantities_that_are_not_logged() -> None:
    assert norms([make_run(COPY)]) == {}
    one = make_run(COPY, network=with_layer(RNN), curves={"spectral_norm/weight_hh_l0": curve(1.0, 1.5)})
    assert list(norms([one])) == ["spectral_norm"]
