"""``rnn-tasks respond``: the answers of a trained network to strings."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError

BLANK, DOT = " ", "·"


def respond(arguments: list[str]) -> None:
    """Print the answers to the strings of the command line, or to the lines of standard input, one per line.

    Args:
        arguments: The arguments after ``respond``.

    Raises:
        UsageError: The run does not exist, a letter is outside the alphabet, or the delay was not trained.
    """
    parser = OneLineParser(
        "rnn-tasks respond",
        description="Print the answers of a trained network to strings, one per line. Unscored steps print as spaces.",
    )
    parser.add_argument("run", help="run folder, checkpoint, or task name (its newest run)")
    parser.add_argument("text", nargs="*", help="strings to answer (default: the lines of standard input)")
    parser.add_argument(
        "--delay", type=int, help="delay of the answer, for networks that were trained on several delays"
    )
    options = parser.parse_args(arguments)

    from rnn_tasks.networks import TaggerNetwork
    from rnn_tasks.runs.find import find_run
    from rnn_tasks.runs.trained_network import load_network

    network = load_network(find_run(options.run))
    codec = network.spec.codec
    if network.spec.vocabulary is not None:
        raise UsageError("this network was trained on text; use rnn-tasks generate")
    if not isinstance(network, TaggerNetwork) or codec is None:
        raise UsageError("this network's task has no strings to respond to")
    expected = codec.num_letters
    terminal = sys.stdout.isatty()
    for chunk in chunks(options.text or lines(), 1 if not options.text and sys.stdin.isatty() else 1000):
        other = next((text for text in chunk if expected and text and len(text) != expected), None)
        if other is not None:
            print(f"note: trained on strings of {expected} symbols, {other!r} has {len(other)}", file=sys.stderr)
            expected = 0
        answers = iter(network.respond([text for text in chunk if text], options.delay) if any(chunk) else [])
        for text in chunk:
            answer = next(answers) if text else ""
            print(answer.replace(BLANK, DOT) if terminal else answer)


def lines() -> Iterator[str]:
    """Yield the lines of standard input, without their line ends."""
    for line in sys.stdin:
        yield line.rstrip("\r\n")


def chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the texts in lists of at most ``size``.

    Example:
        >>> list(chunks("abc", 2))
        [['a', 'b'], ['c']]
    """
    rest = iter(texts)
    while chunk := list(islice(rest, size)):
        yield chunk
