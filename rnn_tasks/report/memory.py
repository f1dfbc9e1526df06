"""What does it remember? Right answers by delay, past symbols in the hidden state, and memory capacity."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from rnn_tasks.analysis.memory import Probe, Shares, accuracy_by_lag
from rnn_tasks.plots.style import LINES, MARKERS, legend_below, level, name_axes, panels, whole
from rnn_tasks.report.answers import about, answers, is_text
from rnn_tasks.report.page import Block, Picture, Section
from rnn_tasks.report.probes import (
    DIRECTIONS,
    SHUFFLES,
    Both,
    Capacities,
    capacities,
    draw_capacities,
    draw_probes,
    probe,
    reach,
)
from rnn_tasks.report.run_data import Subject, attempt

ByLag = tuple[Subject, Shares]


def by_lag(subject: Subject) -> Shares | None:
    """The share of right answers by delay, or by place in the answer; None for text, which has neither.

    Args:
        subject: The run.
    """
    if subject.batch is None or is_text(subject):
        return None
    return accuracy_by_lag(answers(subject.model, subject.batch), subject.batch)


def has_delays(subject: Subject) -> bool:
    """Whether its sequences differ in their condition."""
    return subject.batch is not None and subject.batch.condition is not None


def draw_by_lag(found: Sequence[ByLag], width: float) -> Figure:
    """Accuracy by delay or place, all runs in one field.

    Args:
        found: The runs with their shares.
        width: Inches.
    """
    figure, (field,) = panels(width, 1)
    delays = has_delays(found[0][0])
    for index, (subject, shares) in enumerate(found):
        label = subject.label if len(found) > 1 else "the network"
        at = shares.at + (0 if delays else 1)
        field.plot(at, shares.share, **LINES[index], marker=MARKERS[index], markersize=4, label=label)
    chance = {subject.task.baseline.accuracy for subject, _ in found if subject.task is not None}
    for index, value in enumerate(sorted(chance)):
        level(field, value, "" if index else "chance")
    name_axes(field, "delay, steps" if delays else "place in the answer, 1 is the first", "share of right answers")
    whole(field)
    field.set_ylim(-0.03, 1.03)
    legend_below(figure, field, width)
    return figure


def caption_by_lag(found: Sequence[ByLag]) -> str:
    """What right answers say about memory."""
    delays = has_delays(found[0][0])
    what = "for each delay" if delays else "for each place in the answer"
    text = f"Share of right answers {what}, at the steps that need memory, and of guesses (chance)."
    for subject, shares in found:
        who = f"{subject.label}" if len(found) > 1 else "The network"
        assert subject.batch is not None
        worst = int(shares.share.argmin())
        text += f" {who}: {shares.share[worst]:.1%} at its worst ("
        text += f"delay {shares.at[worst]}" if delays else f"place {shares.at[worst] + 1}"
        overall = (shares.share * shares.counts).sum() / shares.counts.sum()
        text += f"), {overall:.1%} over all, in {len(subject.batch.inputs)} sequences."
    waits = {subject.wait for subject, _ in found}
    steps = waits.pop()
    if steps is not None and not waits and not delays:
        text += f" Each symbol was read {steps} steps before."
    return text


def in_words(probed: Probe) -> str:
    """What probes read, such as ``up to 2 steps ago (3 of 11 lags)``."""
    far = reach(probed)
    count = f"{len(probed.lags_above_chance)} of {len(probed.lags)} lags"
    return f"at {count}" if far is None else f"up to {far} steps ago ({count})"


def caption_of_probes(probes: Sequence[tuple[str, Both]], of_text: bool) -> str:
    """How to read what probes read."""
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
    """How to read memory capacities."""
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


def remembering(subjects: Sequence[Subject]) -> Section:
    """What does it remember?

    Args:
        subjects: The runs.
    """
    missing: list[str] = []
    blocks: list[Block] = []
    shares: list[ByLag] = []
    probes: list[tuple[str, Both]] = []
    found: list[tuple[str, Capacities]] = []
    for subject in subjects:
        what = partial(about, subjects, subject)
        share = attempt(missing, what("accuracy by delay"), partial(by_lag, subject))
        shares += [] if share is None else [(subject, share)]
        if subject.batch is not None:
            probing = partial(probe, subject.model, subject.untrained, subject.batch)
            probed = attempt(missing, what("what probes read"), probing)
            probes += [] if probed is None else [(subject.label, probed)]
        capacity = attempt(
            missing, what("memory capacity"), partial(capacities, subject.model, subject.untrained, subject.batch)
        )
        found += [] if capacity is None else [(subject.label, capacity)]
    if shares:
        blocks.append(Picture("accuracy_by_delay", partial(draw_by_lag, shares), caption_by_lag(shares)))
    if probes:
        caption = caption_of_probes(probes, is_text(subjects[0]))
        blocks.append(Picture("linear_probe", partial(draw_probes, probes), caption))
    if found:
        blocks.append(Picture("memory_capacity", partial(draw_capacities, found), caption_of_capacities(found)))
    numbers: dict[str, Any] = {
        "accuracy_by_delay": {subject.label: share for subject, share in shares},
        "probe": {name: {part: as_numbers(p) for part, p in both._asdict().items()} for name, both in probes},
        "memory_capacity": dict(found),
    }
    return Section("remembering", "What does it remember?", blocks, numbers, missing)


def as_numbers(probed: Probe) -> dict[str, Any]:
    """A probe by the names of its parts, and the lags above chance."""
    return {**probed._asdict(), "lags_above_chance": probed.lags_above_chance, "reach": reach(probed)}
