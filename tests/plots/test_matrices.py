import numpy as np
import pytest
from matplotlib.colors import to_rgb

from rnn_tasks.plots.matrices import LEAST_ERROR, Spectrum, draw_eigenvalues, draw_norms
from rnn_tasks.plots.style import NARROW, WIDE
from rnn_tasks.runs.curves import Curve


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_draw_eigenvalues_shows_both_spectra_and_unit_circle(count: int, width: float) -> None:
    random = np.random.default_rng(0)
    spectra = [
        Spectrum(f"w/{i}", *(random.normal(size=5) + 1j * random.normal(size=5) for _ in range(2)))
        for i in range(count)
    ]
    figure = draw_eigenvalues([(one.name, one) for one in spectra], ("step 0", "step 70"), width)
    figure.draw_without_rendering()
    assert [ax.get_title(loc="left") for ax in figure.axes] == [f"w/\n{i}" for i in range(count)]
    for ax, spectrum in zip(figure.axes, spectra, strict=True):
        circle, old, new = ax.lines
        values = [np.asarray(line.get_xdata()) + 1j * np.asarray(line.get_ydata()) for line in (circle, old, new)]
        np.testing.assert_allclose(np.abs(values[0]), 1)
        np.testing.assert_array_equal(values[1], spectrum.first)
        np.testing.assert_array_equal(values[2], spectrum.last)
        assert [line.get_label() for line in ax.lines] == ["|eigenvalue| = 1", "step 0", "step 70"]
        assert np.dot(to_rgb(new.get_color()), (0.299, 0.587, 0.114)) < 0.3  # also dark in black and white
        low, high = ax.get_xlim()
        assert -low == high >= max(1, *(float(np.abs(v).max()) for one in spectra for v in (one.first, one.last)))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("real part", "imaginary part")


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_draw_norms_has_a_panel_for_each_quantity(width: float) -> None:
    steps = np.array([10, 20])
    curves = {
        "spectral_norm": {"reset": Curve(steps, np.array([1.0, 1.5]))},
        "orthogonality_error": {"reset": Curve(steps, np.array([0.0, 0.1]))},
    }
    norms, errors = draw_norms(curves, width).axes
    assert [ax.get_title(loc="left") for ax in (norms, errors)] == ["Spectral norm", "Orthogonality error"]
    assert np.asarray(errors.lines[0].get_ydata()).tolist() == [LEAST_ERROR, 0.1]


def test_legend_of_norms_names_all_lines() -> None:
    """Some layers have eigenvalues of more than their recurrent matrices, such as the memory of an LMU."""
    one = Curve(np.array([0, 10]), np.array([1.0, 1.1]))
    figure = draw_norms({"spectral_norm": {"weight_hh": one}, "spectral_radius": {"weight_hh": one, "memory": one}}, 7)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["weight_hh", "memory"]
