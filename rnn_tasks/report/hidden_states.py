"""What is in the hidden state? Its way along a sequence, its units, and in a text its words and what comes next."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from rnn_tasks.report.answers import about, is_text, stem
from rnn_tasks.report.next_character import CAPTION, CAPTION_OF_GRAMMAR, Expected, draw_expected, exact, expected
from rnn_tasks.report.page import Block, Picture, Section
from rnn_tasks.report.run_data import Subject, attempt
from rnn_tasks.report.trajectories import Units, caption_of_followed, draw_followed, draw_units, followed, units
from rnn_tasks.report.words import (
    DRAWN,
    Words,
    draw_positions,
    draw_tree,
    lexicon_table,
    purity_table,
    words_of,
)


def trajectories(subjects: Sequence[Subject], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Trajectories through training, a picture for each run, and one of all units.

    Args:
        subjects: The runs.
        missing: Lines of what is missing, to which some may be added.
    """
    blocks: list[Block] = []
    numbers: dict[str, Any] = {"trajectory": {}, "units": {}}
    maps: list[tuple[str, Units]] = []
    for subject in subjects:
        what = partial(about, subjects, subject)
        found = attempt(missing, what("trajectory of the hidden state"), partial(followed, subject))
        if found is not None:
            name = stem(subjects, subject, "trajectory")
            blocks.append(Picture(name, partial(draw_followed, found), what(caption_of_followed(found))))
            numbers["trajectory"][subject.label] = found
        own = attempt(missing, what("units"), partial(units, subject))
        if own is not None:
            maps.append((subject.label, own))
            numbers["units"][subject.label] = own
    if maps:
        caption = "Each unit of the trained network along one test sequence, in the order of their means."
        blocks.append(Picture("units", partial(draw_units, maps), caption))
    return blocks, numbers


def of_words(subjects: Sequence[Subject], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """Words: how they lie, whether by categories, where they end, and how many of those that are written are words.

    Args:
        subjects: Runs on text.
        missing: Lines of what is missing, to which some may be added.
    """
    found: list[tuple[Subject, Words]] = []
    for subject in subjects:
        words = attempt(missing, about(subjects, subject, "words"), partial(words_of, subject))
        found += [] if words is None else [(subject, words)]
    named = [(subject.label, words) for subject, words in found]
    blocks: list[Block] = []
    for subject, words in found:
        caption = (
            "Which words have states near one another, in the trained network: mean hidden state of each of the "
            f"{len(words.trained.tree.words)} commonest words of the test text, read {DRAWN[0]}, less the mean of all. "
            "Groups are joined at the mean of 1 - cosine of the angles between their words."
        )
        name = stem(subjects, subject, "words")
        blocks.append(Picture(name, partial(draw_tree, words.trained.tree), about(subjects, subject, caption)))
    table = purity_table(named)
    blocks += [] if table is None else [table]
    if found:
        caption = (
            "How often the next character is predicted rightly, by its place in the word: the first letter of a word "
            "is hard to know, and the space behind it shows whether the network knows where words end."
        )
        blocks.append(Picture("accuracy_by_position", partial(draw_positions, found), caption))
    lexicon, shares = attempt(missing, "words that it writes", partial(lexicon_table, subjects)) or (None, {})
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
    """Purities by one name each."""
    return {f"{place}, {measure}": purity for (place, measure), purity in (found or {}).items()}


def next_characters(subjects: Sequence[Subject], missing: list[str]) -> tuple[list[Block], dict[str, Any]]:
    """What is expected along the beginning of the text, runs that read the same text together.

    Args:
        subjects: Runs on text.
        missing: Lines of what is missing, to which some may be added.
    """
    by_text: dict[tuple[str, tuple[str, ...]], list[tuple[str, Expected]]] = {}
    odds: dict[tuple[str, tuple[str, ...]], Expected] = {}
    for subject in subjects:
        found = attempt(missing, about(subjects, subject, "next characters"), partial(expected, subject))
        if found is not None:
            key = (found.text, found.characters)
            by_text.setdefault(key, []).append((subject.label if len(subjects) > 1 else "the network", found))
            known = exact(subject, found)
            odds |= {} if known is None else {key: known}
    blocks: list[Block] = []
    for index, (key, of_text) in enumerate(by_text.items()):
        drawn = [*of_text, *([("the grammar", odds[key])] if key in odds else [])]
        name = "next_character" if len(by_text) == 1 else f"next_character_{index + 1}"
        blocks.append(
            Picture(name, partial(draw_expected, drawn), CAPTION + (CAPTION_OF_GRAMMAR if key in odds else ""))
        )
    return blocks, {"next_character": {name: found for of_text in by_text.values() for name, found in of_text}}


def states(subjects: Sequence[Subject]) -> Section:
    """What is in the hidden state?

    Args:
        subjects: The runs.
    """
    missing: list[str] = []
    parts = [trajectories, *([of_words, next_characters] if is_text(subjects[0]) else [])]
    made = [part(subjects, missing) for part in parts]
    blocks = [block for some, _ in made for block in some]
    numbers = {name: value for _, some in made for name, value in some.items()}
    return Section("states", "What is in the hidden state?", blocks, numbers, missing)
