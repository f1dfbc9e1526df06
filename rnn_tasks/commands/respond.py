"""``rnn-tasks respond``: the answers of a trained network to strings."""

import sys
from collections.abc import Iterable, Iterator

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError
from rnn_tasks.printable import printable

BLANK, DOT = " ", "·"
MOST_LINES, MOST_SYMBOLS = 1000, 100_000
"""Largest numbers of lines, and of symbols in several lines, that are answered together."""


def respond(arguments: list[str]) -> None:
    """Print the answers to the strings of the command line, or to the lines of standard input, one per line.

    Args:
        arguments: The arguments after ``respond``.

    Raises:
        UsageError: The run does not exist, a letter is outside the alphabet, or the delay was not trained.
    """
    parser = OneLineParser(
        "rnn-tasks respond",
        description="Print the answers of a trained network to strings, one per line. Unscored steps print as spaces. "
        "A string of the task's letters may have any length, and need not follow the syntax of the task.",
    )
    parser.add_argument("run", help="run folder, checkpoint, or task name (its newest run)")
    parser.add_argument("text", nargs="*", help="strings to answer (default: the lines of standard input)")
    parser.add_argument(
        "--delay", type=int, help="delay of the answer, for networks that were trained on several delays"
    )
    parser.add_trust()
    options = parser.parse_args(arguments)

    from rnn_tasks.cli.working_folder import allow_modules_of_run
    from rnn_tasks.networks import TaggerNetwork
    from rnn_tasks.runs.find import find_run
    from rnn_tasks.runs.trained_network import load_network

    run = find_run(options.run)
    if options.trust:
        allow_modules_of_run(run.folder)
    network = load_network(run, options.trust)
    codec = network.spec.codec
    if network.spec.vocabulary is not None:
        raise UsageError("this network was trained on text; use rnn-tasks generate")
    if not isinstance(network, TaggerNetwork) or codec is None:
        raise UsageError(
            f"the task of {run.folder} has no strings: its inputs or outputs are not characters; "
            "use rnn-tasks explore, analyze or predict"
        )
    codec.delay(options.delay)  # fail before a dialogue begins
    expected, is_silence_noted = codec.num_letters, False
    terminal = sys.stdout.isatty()
    is_dialogue = not options.text and sys.stdin is not None and sys.stdin.isatty()
    for chunk in chunks(options.text or lines(), 1 if is_dialogue else MOST_LINES, MOST_SYMBOLS):
        other = next((text for text in chunk if expected and text and len(text) != expected), None)
        if other is not None:
            print(f"note: trained on strings of {expected} symbols, {other!r} has {len(other)}", file=sys.stderr)
            expected = 0
        try:
            answers = iter(network.respond([text for text in chunk if text], options.delay) if any(chunk) else [])
        except UsageError as error:
            if not is_dialogue:
                raise
            print(f"error: {printable(str(error))}", file=sys.stderr)
            continue
        for text in chunk:
            answer = next(answers) if text else ""
            print(printable(answer.replace(BLANK, DOT)) if terminal else answer)
            if answer.isspace() and not is_silence_noted and not codec.encode([text], options.delay).scored.any():
                at = f" (answers are due at {codec.answer_at})" if codec.answer_at else ""
                print(f"note: no answer is due in {text!r}{at}", file=sys.stderr)
                is_silence_noted = True


def lines() -> Iterator[str]:
    """Yield the lines of standard input, without their line ends.

    Raises:
        UsageError: The input is not text.
    """
    try:
        for line in sys.stdin or ():
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not valid {error.encoding}: {error.reason}") from error


def chunks(texts: Iterable[str], most_texts: int, most_symbols: int) -> Iterator[list[str]]:
    """Yield the texts in lists of at most ``most_texts``; a list ends when it has ``most_symbols`` symbols.

    Example:
        >>> list(chunks(["a", "b", "c", "defg", "h"], 2, 4))
        [['a', 'b'], ['c', 'defg'], ['h']]
    """
    chunk: list[str] = []
    symbols = 0
    for text in texts:
        chunk.append(text)
        symbols += len(text)
        if len(chunk) == most_texts or symbols >= most_symbols:
            yield chunk
            chunk, symbols = [], 0
    if chunk:
        yield chunk
