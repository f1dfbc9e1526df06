"""What does it remember? Right answers by delay, past symbols in the hidden state, and memory capacity."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.analysis.accuracy import Shares, accuracy_by_lag
from rnn_tasks.analysis.linear_probe import Probe
from rnn_tasks.plots.memory import Capacities, ProbePair, draw_accuracy_by_lag, draw_capacities, draw_probes
from rnn_tasks.report.answers import answers, is_text, labelled
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.probes import (
    DIRECTIONS,
    SHUFFLES,
    capacities,
    probe,
    reach,
)
from rnn_tasks.report.run_data import RunData, attempt

ByLag = tuple[RunData, Shares]


def shares_by_lag(run: RunData) -> Shares | None:
    """Return the share of right answers by delay, or by place in the answer; None for text, which has neither.

    Args:
        run: The run.
    """
    if run.batch is None or is_text(run):
        return None
    return accuracy_by_lag(answers(run.network, run.batch), run.batch)


def has_delays(run: RunData) -> bool:
    """Return whether the sequences of a run have conditions."""
    return run.batch is not None and run.batch.condition is not None


def caption_by_lag(found: Sequence[ByLag]) -> str:
    """Return the caption of right answers by lag."""
    delays = has_delays(found[0][0])
    what = "for each delay" if delays else "for each place in the answer"
    text = f"Share of right answers {what}, at the steps that need memory, and of guesses (chance)."
    for run, shares in found:
        who = f"{run.label}" if len(found) > 1 else "The network"
        assert run.batch is not None
        worst = int(shares.share.argmin())
        text += f" {who}: {shares.share[worst]:.1%} at its worst ("
        text += f"delay {shares.groups[worst]}" if delays else f"place {shares.groups[worst] + 1}"
        overall = (shares.share * shares.counts).sum() / shares.counts.sum()
        text += f"), {overall:.1%} over all, in {len(run.batch.inputs)} sequences."
    waits = {run.wait for run, _ in found}
    steps = waits.pop()
    if steps is not None and not waits and not delays:
        text += f" Each symbol was read {steps} steps before."
    return text


def in_words(probed: Probe) -> str:
    """Return what probes read in words, such as ``up to 2 steps ago (3 of 11 lags)``."""
    far = reach(probed)
    count = f"{len(probed.lags_above_chance)} of {len(probed.lags)} lags"
    return f"at {count}" if far is None else f"up to {far} steps ago ({count})"


def caption_of_probes(probes: Sequence[tuple[str, ProbePair]], of_text: bool) -> str:
    """Return the caption of linear probes."""
    text = (
        "How often a linear probe of the hidden state reads rightly which symbol was the input so many steps ago, in "
        "sequences that it was not fitted on; one probe is fitted for each lag, and lag 0 is the symbol read last. The "
        f"band is where probes lie whose symbols come from other sequences (mean of {SHUFFLES} and three standard "
        "deviations). Above chance: "
    )
    ends = [
        f"{'trained' if len(probes) == 1 else name} {in_words(trained)}, untrained {in_words(untrained)}"
        for name, (trained, untrained) in probes
    ]
    text += "; ".join(ends) + "."
    if of_text:
        text += (
            " The characters of a text tell something about their neighbours, so part of this is guessed from what is "
            "remembered of others: compare with the untrained network."
        )
    else:
        text += " Only letters are read, no blanks and markers."
    return text


def caption_of_capacities(found: Sequence[tuple[str, Capacities]]) -> str:
    """Return the caption of memory capacities."""
    text = (
        "Memory capacity: the layer reads random numbers in the place of symbols, and a linear readout of its hidden "
        "state is to give the number of so many steps ago. Drawn is their squared correlation; its sum over the lags "
        "is the capacity, which cannot be above the number of units. "
    )
    ends = [
        f"{'Trained' if len(found) == 1 else name}: {both.trained.total:.1f} of {both.units} (untrained "
        f"{both.untrained.total:.1f}; a layer without memory {both.trained.chance:.1f})"
        for name, both in found
    ]
    return text + "; ".join(ends) + f". Mean over {DIRECTIONS} random directions between the symbols' inputs."


def memory_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What does it remember?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    blocks: list[Block] = []
    shares: list[ByLag] = []
    probes: list[tuple[str, ProbePair]] = []
    found: list[tuple[str, Capacities]] = []
    for run in runs:
        what = partial(labelled, runs, run)
        share = attempt(missing, what("accuracy by delay"), partial(shares_by_lag, run))
        shares += [] if share is None else [(run, share)]
        if run.batch is not None:
            probing = partial(probe, run.network, run.untrained, run.batch)
            probed = attempt(missing, what("what probes read"), probing)
            probes += [] if probed is None else [(run.label, probed)]
        capacity = attempt(missing, what("memory capacity"), partial(capacities, run.network, run.untrained, run.batch))
        found += [] if capacity is None else [(run.label, capacity)]
    if shares:
        chance = [run.task.baseline.accuracy for run, _ in shares if run.task is not None]
        named = [(run.label, share) for run, share in shares]
        draw = partial(draw_accuracy_by_lag, named, has_delays(shares[0][0]), chance)
        blocks.append(Picture("accuracy_by_delay", draw, caption_by_lag(shares)))
    if probes:
        caption = caption_of_probes(probes, is_text(runs[0]))
        blocks.append(Picture("linear_probe", partial(draw_probes, probes), caption))
    if found:
        blocks.append(Picture("memory_capacity", partial(draw_capacities, found), caption_of_capacities(found)))
    numbers: dict[str, Any] = {
        "accuracy_by_delay": {run.label: share for run, share in shares},
        "probe": {name: {part: as_numbers(p) for part, p in both._asdict().items()} for name, both in probes},
        "memory_capacity": dict(found),
    }
    return Section("remembering", "What does it remember?", blocks, numbers, missing)


def as_numbers(probed: Probe) -> dict[str, Any]:
    """Return a probe by the names of its parts, with the lags above chance."""
    return {**probed._asdict(), "lags_above_chance": probed.lags_above_chance, "reach": reach(probed)}
