import numpy as np
import pytest
import torch

from rnn_tasks.analysis.arrays import Floats
from rnn_tasks.analysis.trajectory import pca_trajectory
from rnn_tasks.cores import LSTM
from rnn_tasks.errors import UsageError


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape)


def test_pca_components_equal_right_singular_vectors() -> None:
    states = normal(4, 30, 6) @ normal(6, 6, seed=1) + 3
    result = pca_trajectory(states, num_components=3)
    flat = states.reshape(-1, 6)
    centred = flat - flat.mean(axis=0)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign((rows[:3] * result.components).sum(axis=1))
    np.testing.assert_allclose(result.components, rows[:3] * signs[:, None], atol=1e-10)
    np.testing.assert_allclose(result.explained, values[:3] ** 2 / (values**2).sum())
    np.testing.assert_allclose(result.points, (centred @ rows[:3].T * signs).reshape(4, 30, 3), atol=1e-10)
    largest = np.take_along_axis(result.components, abs(result.components).argmax(axis=1)[:, None], axis=1)
    assert (largest > 0).all()


def test_pca_uses_the_components_of_the_reference() -> None:
    reference, states = normal(50, 5), normal(2, 7, 5, seed=2)
    fitted = pca_trajectory(reference)
    result = pca_trajectory(states, reference)
    assert result.explained.tolist() == fitted.explained.tolist()
    np.testing.assert_allclose(result.points, (states - reference.mean(axis=0)) @ fitted.components.T, atol=1e-10)
    np.testing.assert_allclose(result.mean, reference.mean(axis=0))


def test_all_components_keep_the_distances_of_states() -> None:
    states, _ = LSTM(2, 9)(torch.randn(3, 20, 2))
    result = pca_trajectory(states, num_components=9)
    assert result.explained.sum() == pytest.approx(1)
    assert (np.diff(result.explained) <= 0).all()
    # With all components, distances between states stay the same.
    np.testing.assert_allclose(
        np.linalg.norm(result.points[0, 1:] - result.points[0, :-1], axis=-1),
        (states[0, 1:] - states[0, :-1]).norm(dim=-1).detach().numpy(),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("states", "reference", "num_components", "message"),
    [
        (normal(9, 4), normal(9, 5), 2, "the states have 4 units and the reference has 5"),
        (normal(9, 4), None, 5, r"num_components must be in 1..4, got 5"),
        (normal(9, 4), normal(3, 4), 4, r"num_components must be in 1..3, got 4"),
        (normal(9, 4), None, 0, r"num_components must be in 1..4, got 0"),
        (normal(9), None, 1, "with at least two dimensions"),
        (np.ones((9, 4)), None, 1, "the reference states are all equal"),
        (np.full((9, 4), np.nan), None, 1, "states must be finite"),
    ],
)
def test_pca_raises_for_unusable_arguments(
    states: Floats, reference: Floats | None, num_components: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        pca_trajectory(states, reference, num_components)
