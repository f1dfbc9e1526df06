"""``rnn-tasks generate``: a trained network goes on with a text."""

import sys

from rnn_tasks.commands.parser import OneLineParser
from rnn_tasks.errors import UsageError


def generate(words: list[str]) -> None:
    """Print a prefix and what the network writes after it, or its vocabulary.

    Args:
        words: The words after ``generate``.

    Raises:
        UsageError: No such run, one that was not trained on text, or a value outside its bounds.
    """
    parser = OneLineParser("rnn-tasks generate", description="Let a trained language model go on with a text.")
    parser.add_argument("run", help="run folder, checkpoint, or task (then its newest run)")
    parser.add_argument("--prefix", help="what the network reads first (what the task's samples begin with)")
    parser.add_argument("--length", type=int, default=200, help="characters to add (200)")
    parser.add_argument("--temperature", type=float, default=0.7, help="0: always the likeliest character (0.7)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (0)")
    parser.add_argument("--vocabulary", action="store_true", help="show the characters that it knows, and stop")
    given = parser.parse_args(words)

    from rnn_tasks.models import LanguageModel
    from rnn_tasks.models.loading import load_model
    from rnn_tasks.runs.find import find_run

    model = load_model(find_run(given.run))
    if not isinstance(model, LanguageModel) or model.spec.vocabulary is None:
        raise UsageError("this network was not trained on text: ask it with rnn-tasks respond")
    vocabulary = model.spec.vocabulary
    if given.vocabulary:
        print(f"{len(vocabulary)} symbols: <unk> {' '.join(map(repr, vocabulary.characters))}")
        return
    prefix = vocabulary.prefix if given.prefix is None else given.prefix
    unknown = vocabulary.unknown(prefix)
    if unknown:
        shown = " ".join(map(repr, unknown))
        print(f"note: {shown} not in this network's vocabulary, read as <unk>", file=sys.stderr)
    print(model.generate(prefix, given.length, given.temperature, given.seed))
