"""What is in the hidden state? Its way along a sequence, its units, and in a text its words and what comes next."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.plots.next_character import NextCharacters, draw_next_characters
from rnn_tasks.plots.trajectories import Units, draw_trajectory, draw_units
from rnn_tasks.plots.words import draw_positions, draw_tree
from rnn_tasks.report.answers import is_text, labelled, picture_name
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.next_character import CAPTION, CAPTION_OF_GRAMMAR, exact_odds, next_characters_of
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.trajectories import caption_of_trajectory, trajectory_of, units_of
from rnn_tasks.report.words import DRAWN, Words, lexicon_table, purity_table, words_of


def trajectories(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return a picture of the trajectory of each run, and one of the units of all runs.

    Args:
        runs: The runs.
        missing: Lines of what is missing, to which some may be added.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {"trajectory": {}, "units": {}}
    maps: list[tuple[str, Units]] = []
    for run in runs:
        what = partial(labelled, runs, run)
        found = attempt(missing, what("trajectory of the hidden state"), partial(trajectory_of, run))
        if found is not None:
            name = picture_name(runs, run, "trajectory")
            blocks.append(Picture(name, partial(draw_trajectory, found), what(caption_of_trajectory(found))))
            numbers["trajectory"][run.label] = found
        own = attempt(missing, what("units"), partial(units_of, run))
        if own is not None:
            maps.append((run.label, own))
            numbers["units"][run.label] = own
    if maps:
        caption = "Each unit of the trained network along one test sequence, in the order of their means."
        blocks.append(Picture("units", partial(draw_units, maps), caption))
    return blocks, numbers


def of_words(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return what the hidden states and the samples of the networks say about words.

    Args:
        runs: Runs on text.
        missing: Lines of what is missing, to which some may be added.
    """
    found: list[tuple[RunData, Words]] = []
    for run in runs:
        words = attempt(missing, labelled(runs, run, "words"), partial(words_of, run))
        found += [] if words is None else [(run, words)]
    named = [(run.label, words) for run, words in found]
    blocks: list[Block] = []
    for run, words in found:
        caption = (
            "Which words have states near one another, in the trained network: mean hidden state of each of the "
            f"{len(words.trained.tree.words)} commonest words of the test text, read {DRAWN[0]}, less the mean of all. "
            "Groups are joined at the mean of 1 - cosine of the angles between their words."
        )
        name = picture_name(runs, run, "words")
        blocks.append(Picture(name, partial(draw_tree, words.trained.tree), labelled(runs, run, caption)))
    table = purity_table(named)
    blocks += [] if table is None else [table]
    if found:
        caption = (
            "How often the next character is predicted rightly, by its place in the word: the first letter of a word "
            "is hard to know, and the space behind it shows whether the network knows where words end."
        )
        accuracies = [(run.label, words.accuracy) for run, words in found]
        baselines = [run.task.baseline_on("test").accuracy for run, _ in found if run.task is not None]
        draw = partial(draw_positions, accuracies, found[-1][1].untrained_accuracy, baselines)
        blocks.append(Picture("accuracy_by_position", draw, caption))
    lexicon, shares = attempt(missing, "words that it writes", partial(lexicon_table, runs)) or (None, {})
    blocks += [] if lexicon is None else [lexicon]
    numbers = {
        label: {
            "purity": {
                part: purities(read.purity) for part, read in {"trained": w.trained, "untrained": w.untrained}.items()
            },
            "words": {place: {"words": s.words, "counts": s.counts} for place, s in w.trained.words.items()},
            "order_in_tree": w.trained.tree.words,
            "accuracy_by_position": {"trained": w.accuracy, "untrained": w.untrained_accuracy},
        }
        for label, w in named
    }
    return blocks, {"words": numbers, "lexicon_share": shares}


def purities(found: Any) -> dict[str, Any]:
    """Return purities by one name each."""
    return {f"{place}, {measure}": purity for (place, measure), purity in (found or {}).items()}


def next_characters(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return the predictions along the beginning of the text; runs on the same text share a picture.

    Args:
        runs: Runs on text.
        missing: Lines of what is missing, to which some may be added.
    """
    by_text: dict[tuple[str, tuple[str, ...]], list[tuple[str, NextCharacters]]] = {}
    odds: dict[tuple[str, tuple[str, ...]], NextCharacters] = {}
    for run in runs:
        found = attempt(missing, labelled(runs, run, "next characters"), partial(next_characters_of, run))
        if found is not None:
            key = (found.text, found.characters)
            by_text.setdefault(key, []).append((run.label if len(runs) > 1 else "the network", found))
            known = exact_odds(run, found)
            odds |= {} if known is None else {key: known}
    blocks: list[Block] = []
    for index, (key, of_text) in enumerate(by_text.items()):
        drawn = [*of_text, *([("the grammar", odds[key])] if key in odds else [])]
        name = "next_character" if len(by_text) == 1 else f"next_character_{index + 1}"
        blocks.append(
            Picture(name, partial(draw_next_characters, drawn), CAPTION + (CAPTION_OF_GRAMMAR if key in odds else ""))
        )
    return blocks, {"next_character": {name: found for of_text in by_text.values() for name, found in of_text}}


def hidden_states_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What is in the hidden state?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    parts = [trajectories, *([of_words, next_characters] if is_text(runs[0]) else [])]
    made = [part(runs, missing) for part in parts]
    blocks = [block for some, _ in made for block in some]
    numbers = {name: value for _, some in made for name, value in some.items()}
    return Section("states", "What is in the hidden state?", blocks, numbers, missing)
