"""How do gradients flow? Gradient norms by lag and over training, clipping, Jacobian products, Lyapunov exponents."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnn_tasks.analysis.flow import loss_unit
from rnn_tasks.plots.gradients import VANISHED, ByLag, Clipping, draw_clipping, draw_gradient_by_lag, draw_gradient_maps
from rnn_tasks.plots.jacobians import LOWEST, StretchingPair, draw_exponents, draw_products
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Block, Picture, Section, Table
from rnn_tasks.report.gradients import (
    GRADIENT_SEQUENCES,
    InTraining,
    clipping_of,
    gradient_map,
    gradients_by_lag,
    gradients_in_training,
)
from rnn_tasks.report.jacobians import SEQUENCES, stretching, time_constant
from rnn_tasks.report.run_data import RunData, attempt


class Flow(NamedTuple):
    """Measurements of the gradient flow of a run.

    Attributes:
        run: The run.
        by_lag: The gradient norms by lag; None if they could not be measured.
        clipping: The logged gradient norms; None if none were logged.
        stretching: The Jacobian products and Lyapunov exponents; None if they could not be measured.
    """

    run: RunData
    by_lag: ByLag | None
    clipping: Clipping | None
    stretching: StretchingPair | None


Cell = Callable[[Flow], str | None]


def share_at_recall_lag(flow: Flow, first: int) -> str | None:
    """Return the gradient norm at the lag of the symbol to recall, relative to the first lag; None if it is unknown."""
    lag = flow.run.recall_lag
    return None if lag is None else share_at(flow, lag, first)


def share_at_longest_lag(flow: Flow, first: int) -> str | None:
    """Return the gradient norm at the longest lag, relative to the first lag; None if it is unknown."""
    return None if flow.by_lag is None else share_at(flow, len(flow.by_lag.trained) - 1, first)


def share_at(flow: Flow, lag: int, first: int) -> str | None:
    """Return the gradient norm at a lag, relative to the first lag; None if it is unknown or the first norm is 0."""
    if flow.by_lag is None or not first <= lag < len(flow.by_lag.trained):
        return None
    norms = flow.by_lag.trained
    return f"{norms[lag] / norms[first]:.2g}" if norms[first] > 0 else None


def time_constant_cell(flow: Flow) -> str | None:
    """Return the time constant of the slowest decay as text; None if it could not be measured."""
    if flow.stretching is None:
        return None
    steps = time_constant(flow.stretching.trained.exponents)
    return f"{steps:,.0f}" if np.isfinite(steps) else "infinite"


ROWS: dict[str, Cell] = {
    "logged optimizer steps with a clipped gradient": lambda flow: (
        flow.clipping and f"{flow.clipping.clipped:.0%} of {len(flow.clipping.before.steps)}"
    ),
    "largest Lyapunov exponent, nats per step": lambda flow: (
        flow.stretching
        and f"{flow.stretching.trained.exponents[0]:+.3f} (untrained {flow.stretching.untrained.exponents[0]:+.3f})"
    ),
    "sum of the Lyapunov exponents, nats per step": lambda flow: (
        flow.stretching and f"{flow.stretching.trained.exponents.sum():+.1f}"
    ),
    "time constant of the slowest decay, time steps": time_constant_cell,
    "largest singular value of the longest Jacobian product": lambda flow: (
        flow.stretching
        and f"{flow.stretching.trained.factors[-1, 0]:.2g} over {flow.stretching.trained.after[-1]} steps"
    ),
}


def table(flows: Sequence[Flow]) -> Table | None:
    """Return the main numbers of the pictures as a table; None if nothing was measured.

    Args:
        flows: The measurements of each run.
    """
    first = max((flow.by_lag.first for flow in flows if flow.by_lag is not None), default=0)
    shares: dict[str, Cell] = {
        f"gradient norm at the lag of the symbol to recall, relative to lag {first}": partial(
            share_at_recall_lag, first=first
        ),
        f"gradient norm at the longest lag, relative to lag {first}": partial(share_at_longest_lag, first=first),
    }
    rows = []
    for name, cell in (shares | ROWS).items():
        cells = [cell(flow) for flow in flows]
        if any(cells):
            rows.append([name, *(text or "-" for text in cells)])
    caption = (
        "How far back gradients reach, and how long a small difference between two states of the layer lasts. The "
        "captions of the pictures below explain each quantity. The time constant is the number of steps after which "
        "the slowest decay reaches 1/e."
    )
    names = [flow.run.label for flow in flows] if len(flows) > 1 else [""]
    return Table(caption, ["", *names], rows) if rows else None


def caption_of_lags(runs: Sequence[tuple[RunData, ByLag]]) -> str:
    """Return the caption of gradient norms by lag."""
    text = (
        "The norm of the gradient of the loss at the last scored step with respect to the layer's state k steps "
        f"earlier, as a mean over at most {GRADIENT_SEQUENCES} sequences. Where this gradient vanishes, the network "
        f"cannot learn from what it read there. Norms below {VANISHED:.0e} of the largest norm are drawn at this limit."
    )
    if any(by_lag.first for _, by_lag in runs):
        text += (
            " Where the output of a layer is not a part of its state, the last loss depends on the last output "
            "and on earlier states: the curve begins at lag 1."
        )
    if any(run.recall_lag is not None for run, _ in runs):
        text += " Vertical line: the lag at which the network read the symbol that it has to recall at the last step."
    return text


def caption_of_training(runs: Sequence[tuple[RunData, InTraining]]) -> str:
    """Return the caption of gradient norms over training."""
    counts = " and ".join(f"{len(gradients.steps)}" for _, gradients in runs)
    return (
        "The norm of the gradient of the loss of one validation sequence with respect to the layer's state at each "
        "time step, during training. At dark steps the gradient vanishes. Each column shows the nearest of "
        f"{counts} snapshots."
    )


def caption_of_clipping(runs: Sequence[tuple[RunData, Clipping]]) -> str:
    """Return the caption of gradient norms before and after clipping."""
    text = "The norm of the gradient with respect to all parameters, before and after clipping, at the logged steps."
    for run, clipping in runs:
        label = f"{run.letter}: clipped" if len(runs) > 1 else "Clipped"
        threshold = "" if clipping.limit is None else f" (threshold {clipping.limit:g})"
        text += f" {label} at {clipping.clipped:.0%} of {len(clipping.before.steps)} steps{threshold}."
    return text


CAPTION_OF_PRODUCTS = (
    "How a small difference between two states of the layer grows or decays: the singular values of the product of the "
    "Jacobians of consecutive steps, from the first step of one sequence. The largest is the factor in the direction "
    "that grows most, the smallest the factor in the direction that decays most. Gradients that flow back are scaled "
    f"by the same factors. Values below {LOWEST:.0e} are drawn at this limit."
)


def caption_of_exponents(runs: Sequence[tuple[str, StretchingPair]]) -> str:
    """Return the caption of Lyapunov exponents."""
    steps = " and ".join(dict.fromkeys(str(pair.trained.steps) for _, pair in runs))
    return (
        "Lyapunov exponents: the mean rates at which differences between states of the layer grow (above 0) or decay "
        f"(below 0), in descending order, measured along {SEQUENCES} sequences of {steps} steps. With an exponent near "
        "0 a difference lasts, so the network can remember it. Several stable fixed points keep which of them the "
        "state is near, even if all exponents are negative. The lowest exponents may lie outside the picture; "
        "exponents of minus infinity are omitted."
    )


def gradient_flow_section(runs: Sequence[RunData]) -> Section:
    """Return the section "How do gradients flow?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    flows = [flow_of(run, partial(labelled, runs, run), missing) for run in runs]
    by_lag = [(flow.run, flow.by_lag) for flow in flows if flow.by_lag is not None]
    clipped = [(flow.run, flow.clipping) for flow in flows if flow.clipping is not None]
    stretched = [(flow.run.label, flow.stretching) for flow in flows if flow.stretching is not None]
    in_training = [(run, gradients) for run in runs if (gradients := gradients_in_training(run)) is not None]
    main_numbers = table(flows)
    blocks: list[Block] = [] if main_numbers is None else [main_numbers]
    if by_lag:
        lags = [(run.label, norms, run.recall_lag) for run, norms in by_lag]
        draw = partial(draw_gradient_by_lag, lags, unit=loss_unit(by_lag[0][0].network.spec))
        blocks.append(Picture("gradient_by_lag", draw, caption_of_lags(by_lag)))
    if in_training:
        maps = [(run.label if len(in_training) > 1 else "", gradient_map(norms)) for run, norms in in_training]
        unit = loss_unit(in_training[0][0].network.spec)
        draw = partial(draw_gradient_maps, maps, "time step t of the sequence", unit=unit)
        blocks.append(Picture("gradient_in_training", draw, caption_of_training(in_training)))
    if clipped:
        draw = partial(draw_clipping, [(run.label, clipping) for run, clipping in clipped])
        blocks.append(Picture("gradient_norm", draw, caption_of_clipping(clipped)))
    if stretched:
        blocks.append(Picture("jacobian_products", partial(draw_products, stretched), CAPTION_OF_PRODUCTS))
        blocks.append(Picture("lyapunov_spectrum", partial(draw_exponents, stretched), caption_of_exponents(stretched)))
    return Section("flowing", "How do gradients flow?", blocks, numbers(flows), missing)


def flow_of(run: RunData, labelled_line: Callable[[str], str], missing: list[str]) -> Flow:
    """Measure the gradient flow of a run.

    Args:
        run: The run.
        labelled_line: Adds the letter of the run to a line if there are several runs.
        missing: Lines about missing parts, to which this function may append.
    """
    by_lag = attempt(missing, labelled_line("gradient by lag"), partial(gradients_by_lag, run))
    stretched = None
    if run.batch is not None:
        measure = partial(stretching, run.network, run.untrained, run.batch)
        stretched = attempt(missing, labelled_line("Jacobian products and Lyapunov exponents"), measure)
    clipping = clipping_of(run)
    if clipping is None:
        line = "gradient norm: the TensorBoard files of the run do not contain it (callback GradientNormMonitor)"
        missing.append(labelled_line(line))
    return Flow(run, by_lag, clipping, stretched)


def numbers(flows: Sequence[Flow]) -> dict[str, Any]:
    """Return all numbers by run."""
    return {
        flow.run.label: {
            "gradient_by_lag": flow.by_lag,
            "gradient_in_training": gradients_in_training(flow.run),
            "clipping": flow.clipping,
            "stretching": flow.stretching,
        }
        for flow in flows
    }
