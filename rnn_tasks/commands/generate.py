"""``rnn-tasks generate``: a trained language model continues a text."""

import sys

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError
from rnn_tasks.printable import printable


def generate(arguments: list[str]) -> None:
    r"""Print a prefix and its continuation by the network, or the vocabulary of the network.

    On a terminal, control characters are printed as escapes, such as ``\x1b``.

    Args:
        arguments: The arguments after ``generate``.

    Raises:
        UsageError: The run does not exist or was not trained on text, or a value is outside its bounds.
    """
    parser = OneLineParser("rnn-tasks generate", description="Continue a text with a trained language model.")
    parser.add_argument("run", help="run folder, checkpoint, or task name (its newest run)")
    parser.add_argument("--prefix", help="text to continue (default: the prefix of the task)")
    parser.add_argument("--length", type=int, default=200, help="number of characters to generate (default: 200)")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.7,
        help="randomness; 0 always takes the most probable character (default: 0.7)",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--vocabulary", action="store_true", help="print the vocabulary of the network and exit")
    parser.add_trust()
    options = parser.parse_args(arguments)

    from rnn_tasks.cli.working_folder import allow_modules_of_run
    from rnn_tasks.networks import LanguageNetwork
    from rnn_tasks.runs.find import find_run
    from rnn_tasks.runs.trained_network import load_network

    run = find_run(options.run)
    if options.trust:
        allow_modules_of_run(run.folder)
    network = load_network(run, options.trust)
    if not isinstance(network, LanguageNetwork) or network.spec.vocabulary is None:
        raise UsageError("this network was not trained on text; use rnn-tasks respond")
    vocabulary = network.spec.vocabulary
    if options.vocabulary:
        print(f"{len(vocabulary)} symbols: <unk> {' '.join(map(repr, vocabulary.characters))}")
        return
    prefix = vocabulary.prefix if options.prefix is None else options.prefix
    unknown = vocabulary.unknown(prefix)
    if unknown:
        characters = " ".join(map(repr, unknown))
        print(f"note: not in the vocabulary of this network, read as <unk>: {characters}", file=sys.stderr)
    text = network.generate(prefix, options.length, options.temperature, options.seed)
    print(printable(text, keep="\n\t") if sys.stdout.isatty() else text)
