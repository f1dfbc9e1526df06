"""Analysis of trained networks: pure functions of a network and a batch."""

from rnn_tasks.analysis.dynamics import (
    eigenvalues,
    jacobian_products,
    lyapunov_spectrum,
    saturation,
    step_jacobian,
)
from rnn_tasks.analysis.flow import (
    encoded,
    flatten_state,
    gradient_by_lag,
    gradient_by_time_step,
    hidden_states,
    state_trajectory,
    unflatten_state,
)
from rnn_tasks.analysis.gates import carried, gate_activity

__all__ = [
    "carried",
    "eigenvalues",
    "encoded",
    "flatten_state",
    "gate_activity",
    "gradient_by_lag",
    "gradient_by_time_step",
    "hidden_states",
    "jacobian_products",
    "lyapunov_spectrum",
    "saturation",
    "state_trajectory",
    "step_jacobian",
    "unflatten_state",
]
