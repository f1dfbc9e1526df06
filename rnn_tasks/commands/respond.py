"""``rnn-tasks respond``: strings in, a trained network's answers out."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError

EMPTY, DOT = " ", "·"


def respond(words: list[str]) -> None:
    """Answer the strings of the command line, or the lines of standard input, one line each.

    Args:
        words: The words after ``respond``.

    Raises:
        UsageError: No such run, a letter outside the alphabet, or an unknown delay.
    """
    parser = OneLineParser("rnn-tasks respond", description="Give strings to a trained network and print its answers.")
    parser.add_argument("run", help="run folder, checkpoint, or task (then its newest run)")
    parser.add_argument("text", nargs="*", help="strings; without any, the lines of standard input")
    parser.add_argument("--delay", type=int, help="the delay, where the network was trained on several")
    given = parser.parse_args(words)

    from rnn_tasks.models import SequenceTagger
    from rnn_tasks.models.loading import load_model
    from rnn_tasks.runs.find import find_run

    model = load_model(find_run(given.run))
    if model.spec.vocabulary is not None:
        raise UsageError("this network was trained on text, and goes on with one: use rnn-tasks generate")
    if not isinstance(model, SequenceTagger) or model.spec.codec is None:
        raise UsageError("this network's task has no strings to respond to")
    usual = model.spec.codec.num_letters
    terminal = sys.stdout.isatty()
    for chunk in chunks(given.text or lines(), 1 if not given.text and sys.stdin.isatty() else 1000):
        odd = next((text for text in chunk if usual and text and len(text) != usual), None)
        if odd is not None:
            print(f"note: trained on {usual} symbols, {odd!r} has {len(odd)}", file=sys.stderr)
            usual = 0
        answers = iter(model.respond([text for text in chunk if text], given.delay) if any(chunk) else [])
        for text in chunk:
            answer = next(answers) if text else ""
            print(answer.replace(EMPTY, DOT) if terminal else answer)


def lines() -> Iterator[str]:
    """The lines of standard input, without their ends."""
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in lists of at most ``size``.

    Example:
        >>> list(chunks("abc", 2))
        [['a', 'b'], ['c']]
    """
    rest = iter(texts)
    while chunk := list(islice(rest, size)):
        yield chunk
