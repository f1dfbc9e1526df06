"""What does it remember? Scores by group, accuracy by delay, linear probes of past symbols, and memory capacity."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.analysis.accuracy import Shares, accuracy_by_lag
from rnn_tasks.analysis.linear_probe import Probe
from rnn_tasks.plots.memory import Capacities, ProbePair, draw_accuracy_by_lag, draw_capacities, draw_probes
from rnn_tasks.report.answers import answers, has_values, is_text, labelled
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.groups import group_blocks, group_scores
from rnn_tasks.report.output_and_state import other_states
from rnn_tasks.report.probes import (
    DIRECTIONS,
    SHUFFLES,
    capacities,
    probe,
    reach,
)
from rnn_tasks.report.run_data import RunData, attempt, letter_of

ByLag = tuple[RunData, Shares]


def shares_by_lag(run: RunData) -> Shares | None:
    """Return the accuracy by delay, or by position in the answer.

    None for a text, for real values, and if all answers have the same delay or position.

    Args:
        run: The run.
    """
    if run.batch is None or is_text(run) or has_values(run):
        return None
    shares = accuracy_by_lag(answers(run.network, run.batch), run.batch)
    return shares if len(shares.groups) > 1 else None


def has_delays(run: RunData) -> bool:
    """Return whether the sequences of a run have conditions."""
    return run.batch is not None and run.batch.condition is not None


def name_of_shares(runs: Sequence[ByLag]) -> str:
    """Return the name of the picture and of the numbers of the accuracy by delay or position."""
    return "accuracy_by_delay" if has_delays(runs[0][0]) else "accuracy_by_answer_position"


def caption_by_lag(runs: Sequence[ByLag]) -> str:
    """Return the caption of the accuracy by delay or position."""
    delays = has_delays(runs[0][0])
    text = f"Accuracy {'for each delay' if delays else 'at each position in the answer'}, at the steps that need memory"
    text += "; dashed: chance."
    for run, shares in runs:
        assert run.batch is not None
        lowest = int(shares.share.argmin())
        position = f"delay {shares.groups[lowest]}" if delays else f"position {shares.groups[lowest] + 1}"
        overall = (shares.share * shares.counts).sum() / shares.counts.sum()
        text += f" {run.letter}: mean" if len(runs) > 1 else " Mean"
        text += (
            f" {overall:.1%}, lowest {shares.share[lowest]:.1%} ({position}), over {len(run.batch.inputs)} sequences."
        )
    lags = {run.recall_lag for run, _ in runs}
    lag = lags.pop()
    if lag is not None and not lags and not delays:
        text += f" The network read each symbol {lag} steps before it has to recall it."
    return text


def reach_text(probed: Probe) -> str:
    """Return the reach of probes as text, such as ``up to lag 2 (3 of 11 lags)``."""
    longest = reach(probed)
    count = f"{len(probed.lags_above_chance)} of {len(probed.lags)} lags"
    return f"at {count}" if longest is None else f"up to lag {longest} ({count})"


def caption_of_probes(probes: Sequence[tuple[str, ProbePair]], of_text: bool) -> str:
    """Return the caption of linear probes."""
    text = (
        "Accuracy of linear probes that read a past input symbol from the hidden state, on sequences that were not "
        "used for fitting. One probe is fitted for each lag; lag 0 is the current symbol. Grey: chance range, the "
        f"mean accuracy ± 3 standard deviations of {SHUFFLES} probes for the symbols of other sequences. Above chance: "
    )
    ends = [
        f"{'trained' if len(probes) == 1 else letter_of(name)} {reach_text(trained)}, untrained {reach_text(untrained)}"
        for name, (trained, untrained) in probes
    ]
    text += "; ".join(ends) + "."
    if of_text:
        text += (
            " Neighbouring characters of a text depend on each other, so a probe can partly infer a character from "
            "other characters that the network remembers: compare with the untrained network."
        )
    else:
        text += " Only letters are probed, not blanks and markers."
    return text


def caption_of_capacities(runs: Sequence[tuple[str, Capacities]]) -> str:
    """Return the caption of memory capacities."""
    text = (
        "Memory capacity: the layer receives random numbers as inputs, and a linear readout of its hidden "
        "state estimates the input of each lag. Shown is the squared correlation of estimate and input. Its sum over "
        "all lags is the memory capacity, which is at most the number of units. "
    )
    ends = [
        f"{'Trained' if len(runs) == 1 else letter_of(name)}: {pair.trained.total:.1f} of {pair.units} (untrained "
        f"{pair.untrained.total:.1f}; a layer without memory {pair.trained.chance:.1f})"
        for name, pair in runs
    ]
    return text + "; ".join(ends) + f". Means over {DIRECTIONS} random input directions."


def memory_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What does it remember?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    blocks: list[Block] = other_states(runs)
    shares: list[ByLag] = []
    probes: list[tuple[str, ProbePair]] = []
    measured: list[tuple[str, Capacities]] = []
    for run in runs:
        label = partial(labelled, runs, run)
        if not (has_delays(run) and "delay" in group_scores(run)):  # those count all test sequences
            share = attempt(missing, label("accuracy of the answers"), partial(shares_by_lag, run))
            shares += [] if share is None else [(run, share)]
        if run.batch is not None:
            fit = partial(probe, run.network, run.untrained, run.batch)
            probed = attempt(missing, label("linear probes"), fit)
            probes += [] if probed is None else [(run.label, probed)]
        measure = partial(capacities, run.network, run.untrained, run.batch)
        capacity = attempt(missing, label("memory capacity"), measure)
        measured += [] if capacity is None else [(run.label, capacity)]
    groups, group_numbers = group_blocks(runs)
    blocks += groups
    if shares:
        chance = [run.task.baseline.accuracy for run, _ in shares if run.task is not None]
        named = [(run.label, share) for run, share in shares]
        draw = partial(draw_accuracy_by_lag, named, has_delays(shares[0][0]), chance)
        blocks.append(Picture(name_of_shares(shares), draw, caption_by_lag(shares)))
    if probes:
        caption = caption_of_probes(probes, is_text(runs[0]))
        blocks.append(Picture("linear_probe", partial(draw_probes, probes), caption))
    if measured:
        blocks.append(Picture("memory_capacity", partial(draw_capacities, measured), caption_of_capacities(measured)))
    numbers: dict[str, Any] = {
        "probe": {name: {part: as_numbers(p) for part, p in pair._asdict().items()} for name, pair in probes},
        "memory_capacity": dict(measured),
        **group_numbers,
    }
    if shares:
        numbers[name_of_shares(shares)] = {run.label: share for run, share in shares}
    return Section("remembering", "What does it remember?", blocks, numbers, missing)


def as_numbers(probed: Probe) -> dict[str, Any]:
    """Return the numbers of a probe by name, with the lags above chance and the reach."""
    return {**probed._asdict(), "lags_above_chance": probed.lags_above_chance, "reach": reach(probed)}
