"""How does gradient flow? Back over time, through clipping, and what many steps make of small differences."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnn_tasks.plots.gradients import VANISHED, ByLag, Clipping, draw_clipping, draw_gradient_by_lag, draw_gradient_maps
from rnn_tasks.plots.jacobians import LOWEST, StretchingPair, draw_exponents, draw_products
from rnn_tasks.report.answers import labelled
from rnn_tasks.report.blocks import Block, Picture, Section, Table
from rnn_tasks.report.gradients import (
    GRADIENT_SEQUENCES,
    InTraining,
    clipping,
    gradient_map,
    gradients_by_lag,
    gradients_while_learning,
)
from rnn_tasks.report.jacobians import SEQUENCES, forgotten_after, stretching
from rnn_tasks.report.run_data import RunData, attempt


class Flow(NamedTuple):
    """What was measured of a run.

    Attributes:
        run: The run.
        by_lag: None if it could not be measured.
        clipping: None if no gradient was logged.
        stretching: None if it could not be measured.
    """

    run: RunData
    by_lag: ByLag | None
    clipping: Clipping | None
    stretching: StretchingPair | None


Cell = Callable[[Flow], str | None]


def at_the_answer(flow: Flow) -> str | None:
    """Return the gradient where the answer was read, as a share of the gradient at the loss."""
    if flow.by_lag is None or flow.run.wait is None or flow.run.wait >= len(flow.by_lag.trained):
        return None
    return share_at(flow.by_lag, flow.run.wait)


def share_at(by_lag: ByLag, lag: int) -> str | None:
    """Return the gradient at a lag as a share of the gradient at the loss; None if the latter is 0."""
    first = by_lag.trained[0]
    return f"{by_lag.trained[lag] / first:.2g}" if first > 0 else None


def lasting(flow: Flow) -> str | None:
    """Return the number of steps after which differences are forgotten, in words."""
    if flow.stretching is None:
        return None
    steps = forgotten_after(flow.stretching.trained.exponents)
    return f"{steps:,.0f}" if np.isfinite(steps) else "never"


ROWS: dict[str, Cell] = {
    "gradient where the answer was read, share of that at the loss": at_the_answer,
    "gradient at the longest lag, share of that at the loss": lambda flow: flow.by_lag and share_at(flow.by_lag, -1),
    "steps in which the gradient was clipped, of those logged": lambda flow: (
        flow.clipping and f"{flow.clipping.clipped:.0%} of {len(flow.clipping.before.steps)}"
    ),
    "largest Lyapunov exponent, nats per step": lambda flow: (
        flow.stretching
        and f"{flow.stretching.trained.exponents[0]:+.3f} (untrained {flow.stretching.untrained.exponents[0]:+.3f})"
    ),
    "sum of the exponents, nats per step": lambda flow: (
        flow.stretching and f"{flow.stretching.trained.exponents.sum():+.1f}"
    ),
    "steps after which a difference is 1/e of itself": lasting,
    "factor of the longest product, largest singular value": lambda flow: (
        flow.stretching
        and f"{flow.stretching.trained.factors[-1, 0]:.2g} over {flow.stretching.trained.after[-1]} steps"
    ),
}


def table(flows: Sequence[Flow]) -> Table | None:
    """Return the main numbers of the pictures as a table; None if none was measured.

    Args:
        flows: The runs.
    """
    rows = []
    for name, cell in ROWS.items():
        cells = [cell(flow) for flow in flows]
        if any(cells):
            rows.append([name, *(text or "-" for text in cells)])
    caption = (
        "How far gradients reach and how long differences last, in figures; the pictures below say how each was found."
    )
    names = [flow.run.label for flow in flows] if len(flows) > 1 else [""]
    return Table(caption, ["", *names], rows) if rows else None


def caption_of_lags(found: Sequence[tuple[RunData, ByLag]]) -> str:
    """Return the caption of gradients by lag."""
    text = (
        "How far back one loss can see: the length of the gradient of the last scored step's loss by the hidden state "
        f"k steps before, mean over {GRADIENT_SEQUENCES} sequences at most. Where it vanishes, nothing can be learnt "
        f"about what was read there. Less than {VANISHED:.0e} of the longest is drawn there."
    )
    if any(run.wait is not None for run, _ in found):
        text += " The upright line: where the symbol was read that the last answer has to give."
    return text


def caption_of_training(found: Sequence[tuple[RunData, InTraining]]) -> str:
    """Return the caption of gradients over a training."""
    counts = " and ".join(f"{len(known.steps)}" for _, known in found)
    return (
        "The gradient while the network learnt: its length, of the whole loss of one validation sequence by the hidden "
        "state at each time step, over the optimizer steps. Dark: it does not come back so far. From "
        f"{counts} snapshots, each shown where it is the nearest one."
    )


def caption_of_clipping(found: Sequence[tuple[RunData, Clipping]]) -> str:
    """Return the caption of the norms of the gradient."""
    text = "The norm of the gradient of all parameters together, at the logged steps, before and after it was clipped."
    for run, known in found:
        who = f"{run.label}: clipped" if len(found) > 1 else "Clipped"
        to = "" if known.limit is None else f" to {known.limit:g}"
        text += f" {who}{to} in {known.clipped:.0%} of {len(known.before.steps)} steps."
    return text


CAPTION_OF_PRODUCTS = (
    "What steps make of small differences between two states: singular values of the product of the Jacobians of so "
    "many steps, from the first step of one sequence on. The largest is the factor of the difference that grows most, "
    "the smallest that of the one that is lost most; a gradient on its way back is changed by the same factors. "
    f"Values below {LOWEST:.0e} are drawn there."
)


def caption_of_exponents(found: Sequence[tuple[str, StretchingPair]]) -> str:
    """Return the caption of Lyapunov exponents."""
    steps = " and ".join(dict.fromkeys(str(both.trained.steps) for _, both in found))
    return (
        "Lyapunov exponents: the rates at which differences in each direction grow (above 0) or shrink (below), from "
        f"the most lasting direction to the least, along {SEQUENCES} sequences of {steps} steps. Near 0 a difference "
        "lasts: that is memory. The lowest exponents may be cut off; those of minus infinity, of directions that a "
        "step wipes out, are left out."
    )


def gradient_flow_section(runs: Sequence[RunData]) -> Section:
    """Return the section "How does gradient flow?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    flows = [flow_of(run, partial(labelled, runs, run), missing) for run in runs]
    by_lag = [(flow.run, flow.by_lag) for flow in flows if flow.by_lag is not None]
    clipped = [(flow.run, flow.clipping) for flow in flows if flow.clipping is not None]
    stretched = [(flow.run.label, flow.stretching) for flow in flows if flow.stretching is not None]
    watched = [(s, known) for s in runs if (known := gradients_while_learning(s)) is not None]
    figures = table(flows)
    blocks: list[Block] = [] if figures is None else [figures]
    if by_lag:
        draw = partial(draw_gradient_by_lag, [(run.label, lengths, run.wait) for run, lengths in by_lag])
        blocks.append(Picture("gradient_by_lag", draw, caption_of_lags(by_lag)))
    if watched:
        maps = [(run.label if len(watched) > 1 else "", gradient_map(known)) for run, known in watched]
        draw = partial(draw_gradient_maps, maps, "time step t of the sequence")
        blocks.append(Picture("gradient_in_training", draw, caption_of_training(watched)))
    if clipped:
        draw = partial(draw_clipping, [(run.label, known) for run, known in clipped])
        blocks.append(Picture("gradient_norm", draw, caption_of_clipping(clipped)))
    if stretched:
        blocks.append(Picture("jacobian_products", partial(draw_products, stretched), CAPTION_OF_PRODUCTS))
        blocks.append(Picture("lyapunov_spectrum", partial(draw_exponents, stretched), caption_of_exponents(stretched)))
    return Section("flowing", "How does gradient flow?", blocks, numbers(flows), missing)


def flow_of(run: RunData, what: Callable[[str], str], missing: list[str]) -> Flow:
    """Measure a run.

    Args:
        run: The run.
        what: Says whose the part is that is missing.
        missing: Lines of what is, to which some may be added.
    """
    by_lag = attempt(missing, what("gradient by lag"), partial(gradients_by_lag, run))
    stretched = None
    if run.batch is not None:
        measure = partial(stretching, run.network, run.untrained, run.batch)
        stretched = attempt(missing, what("Jacobian products and Lyapunov exponents"), measure)
    known = clipping(run)
    if known is None:
        missing.append(what("norm of the gradient: it is not in the run's TensorBoard files (GradientNormMonitor)"))
    return Flow(run, by_lag, known, stretched)


def numbers(flows: Sequence[Flow]) -> dict[str, Any]:
    """Return every number, by run."""
    return {
        flow.run.label: {
            "gradient_by_lag": flow.by_lag,
            "gradient_in_training": gradients_while_learning(flow.run),
            "clipping": flow.clipping,
            "stretching": flow.stretching,
        }
        for flow in flows
    }
