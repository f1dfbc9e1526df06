"""What is in the hidden state? Trajectories, units, matrices and fixed points.

For texts also words and predicted next characters.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.plots.next_character import NextCharacters, draw_next_characters
from rnn_tasks.plots.trajectories import Units, draw_trajectory, draw_units
from rnn_tasks.plots.words import draw_positions, draw_tree
from rnn_tasks.report.answers import is_text, labelled, picture_name
from rnn_tasks.report.blocks import Block, Picture, Section
from rnn_tasks.report.fixed_points import fixed_point_blocks
from rnn_tasks.report.matrix_states import matrix_state_blocks
from rnn_tasks.report.next_character import CAPTION, CAPTION_OF_GRAMMAR, exact_probabilities, next_characters_of
from rnn_tasks.report.output_and_state import other_states
from rnn_tasks.report.run_data import RunData, attempt
from rnn_tasks.report.trajectories import caption_of_trajectory, trajectory_of, units_of
from rnn_tasks.report.words import DRAWN, Words, lexicon_table, purity_table, words_of


def trajectories(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return pictures of the trajectory of each run and of the units of all runs, and the numbers.

    Args:
        runs: The runs.
        missing: Lines about missing parts, to which this function may append.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {"trajectory": {}, "units": {}}
    maps: list[tuple[str, Units]] = []
    for run in runs:
        label = partial(labelled, runs, run)
        trajectory = attempt(missing, label("trajectory of the hidden state"), partial(trajectory_of, run))
        if trajectory is not None:
            name = picture_name(runs, run, "trajectory")
            blocks.append(Picture(name, partial(draw_trajectory, trajectory), label(caption_of_trajectory(trajectory))))
            numbers["trajectory"][run.label] = trajectory
        units = attempt(missing, label("units"), partial(units_of, run))
        if units is not None:
            maps.append((run.label, units))
            numbers["units"][run.label] = units
    if maps:
        caption = "The hidden state of each unit of the trained network along one test sequence, sorted by the mean."
        blocks.append(Picture("units", partial(draw_units, maps), caption))
    return blocks, numbers


def word_blocks(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return pictures, tables and numbers about words in the hidden states and in generated texts.

    Args:
        runs: Runs on text.
        missing: Lines about missing parts, to which this function may append.
    """
    measured: list[tuple[RunData, Words]] = []
    for run in runs:
        words = attempt(missing, labelled(runs, run, "words"), partial(words_of, run))
        measured += [] if words is None else [(run, words)]
    named = [(run.label, words) for run, words in measured]
    blocks: list[Block] = []
    for run, words in measured:
        caption = (
            "Words with similar hidden states in the trained network: a dendrogram of the centred mean hidden states "
            f"{DRAWN[0]}, for the {len(words.trained.tree.words)} most frequent words of the test text. Two groups are "
            "joined at the mean cosine distance (1 - cosine) between their words."
        )
        name = picture_name(runs, run, "words")
        blocks.append(Picture(name, partial(draw_tree, words.trained.tree), labelled(runs, run, caption)))
    table = purity_table(named)
    blocks += [] if table is None else [table]
    if measured:
        caption = (
            "Accuracy of the predicted next character by its position in the word. The first letter of a word is hard "
            "to predict; the space after the word shows whether the network knows where words end."
        )
        accuracies = [(run.label, words.accuracy) for run, words in measured]
        baselines = [run.task.baseline_on("test").accuracy for run, _ in measured if run.task is not None]
        draw = partial(draw_positions, accuracies, measured[-1][1].untrained_accuracy, baselines)
        blocks.append(Picture("accuracy_by_position", draw, caption))
    lexicon, shares = attempt(missing, "generated words", partial(lexicon_table, runs)) or (None, {})
    blocks += [] if lexicon is None else [lexicon]
    numbers = {
        label: {
            "purity": {"trained": purities(w.trained.purity), "untrained": purities(w.untrained.purity)},
            "words": {place: {"words": s.words, "counts": s.counts} for place, s in w.trained.words.items()},
            "order_in_tree": w.trained.tree.words,
            "accuracy_by_position": {"trained": w.accuracy, "untrained": w.untrained_accuracy},
        }
        for label, w in named
    }
    return blocks, {"words": numbers, "lexicon_share": shares}


def purities(by_place_and_metric: Any) -> dict[str, Any]:
    """Return purities by the place and the metric, joined to one key."""
    return {f"{place}, {metric}": purity for (place, metric), purity in (by_place_and_metric or {}).items()}


def next_character_blocks(runs: Sequence[RunData], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Return the predictions along the beginning of the text; runs on the same text share a picture.

    Args:
        runs: Runs on text.
        missing: Lines about missing parts, to which this function may append.
    """
    by_text: dict[tuple[str, tuple[str, ...]], list[tuple[str, NextCharacters]]] = {}
    exact: dict[tuple[str, tuple[str, ...]], NextCharacters] = {}
    for run in runs:
        predicted = attempt(missing, labelled(runs, run, "next characters"), partial(next_characters_of, run))
        if predicted is not None:
            key = (predicted.text, predicted.characters)
            by_text.setdefault(key, []).append((run.label if len(runs) > 1 else "the network", predicted))
            of_grammar = exact_probabilities(run, predicted)
            exact |= {} if of_grammar is None else {key: of_grammar}
    blocks: list[Block] = []
    for index, (key, predictions) in enumerate(by_text.items()):
        drawn = [*predictions, *([("the grammar", exact[key])] if key in exact else [])]
        name = "next_character" if len(by_text) == 1 else f"next_character_{index + 1}"
        caption = CAPTION + (CAPTION_OF_GRAMMAR if key in exact else "")
        blocks.append(Picture(name, partial(draw_next_characters, drawn), caption))
    numbers = {name: predicted for predictions in by_text.values() for name, predicted in predictions}
    return blocks, {"next_character": numbers}


def hidden_states_section(runs: Sequence[RunData]) -> Section:
    """Return the section "What is in the hidden state?".

    Args:
        runs: The runs.
    """
    missing: list[str] = []
    parts = [
        trajectories,
        matrix_state_blocks,
        *([word_blocks, next_character_blocks] if is_text(runs[0]) else [fixed_point_blocks]),
    ]
    results = [part(runs, missing) for part in parts]
    blocks = [*other_states(runs), *(block for of_part, _ in results for block in of_part)]
    numbers = {name: value for _, of_part in results for name, value in of_part.items()}
    return Section("states", "What is in the hidden state?", blocks, numbers, missing)
