"""The example ``python -m rnn_tasks.manual_bptt``: train an Elman network on Elman's grammar."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))  # a file of the working folder, such as copy.py, must not hide a module of Python

import argparse
import math
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from typing import NoReturn, get_args

import numpy as np

from rnn_tasks.errors import DivergedError, UsageError
from rnn_tasks.manual_bptt import (
    Activation,
    Array,
    RecurrentInit,
    Settings,
    Step,
    at_least,
    chunks,
    decode,
    encode,
    evaluate,
    initialise,
    last_loss_by_time_step,
    sample,
    spectral_radius,
    train,
    unigram_entropy,
)
from rnn_tasks.texts.grammar import ELMAN


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that raises a UsageError."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def example_parser() -> argparse.ArgumentParser:
    """Return the parser of the example's options."""
    parser = OneLineParser(
        prog="python -m rnn_tasks.manual_bptt",
        description="Train an Elman network on sentences of Elman's grammar, with gradients derived by hand in NumPy.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    # Names are checked where they are used, so that the messages equal those of the Python functions.
    parser.add_argument("--steps", type=int, default=15_000, help="number of training steps, one chunk each")
    parser.add_argument("--hidden-size", type=int, default=64, help="number of hidden units")
    parser.add_argument("--activation", default="tanh", help=f"one of {', '.join(get_args(Activation))}")
    parser.add_argument(
        "--embedding-size", type=int, help="size of the vector of a character; without this option, one-hot vectors"
    )
    parser.add_argument("--init", default="orthogonal", help=f"initial W_hh: {', '.join(get_args(RecurrentInit))}")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate; the loss is the sum over a chunk")
    parser.add_argument("--momentum", type=float, default=0.0, help="momentum of gradient descent")
    parser.add_argument(
        "--decay-rate", type=float, default=1.0, help="factor on the learning rate after each DECAY_EVERY steps"
    )
    parser.add_argument("--decay-every", type=int, default=1000, help="steps between two decays of the learning rate")
    parser.add_argument("--clip", type=float, default=5.0, help="largest norm of the gradient; inf for no clipping")
    parser.add_argument("--freeze-recurrent", action="store_true", help="keep the initial W_hh (a reservoir)")
    parser.add_argument("--sequence-length", type=int, default=25, help="characters per chunk")
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.5,
        help="randomness of the sample; 0 always takes the most probable character",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="random seed of the parameters and the sample; the text does not depend on it",
    )
    return parser


def gradient_picture(whole: Array, last: Array, width: int = 28) -> str:
    """Return two columns of bars, one line per time step, each column scaled to its largest value.

    Example:
        >>> print(gradient_picture(np.array([2.0, 1.0]), np.array([0.1, 1.0]), width=4))
           1   2.0e+00 ####   1.0e-01
           2   1.0e+00 ##     1.0e+00 ####
    """

    def bar(value: float, largest: float) -> str:
        share = value / largest if 0 < largest < math.inf else 0
        return f"{value:.1e} {'#' * round(width * share):{width}}"

    rows = [
        f"{t:4}   {bar(left, whole.max())}   {bar(right, last.max())}".rstrip()
        for t, (left, right) in enumerate(zip(whole, last, strict=True), start=1)
    ]
    return "\n".join(rows)


def example(options: argparse.Namespace, sentences: int = 600) -> None:
    """Train on sentences of Elman's grammar and print the results."""
    at_least(options.steps, 1, "steps")
    at_least(options.seed, 0, "seed")
    if not options.temperature >= 0:  # checked before the training; true for nan as well
        raise UsageError(f"temperature must be at least 0, got {options.temperature}")
    settings = Settings(
        lr=options.lr,
        sequence_length=options.sequence_length,
        reduction="sum",
        momentum=options.momentum,
        decay_rate=options.decay_rate,
        decay_every=options.decay_every,
        clip=options.clip,
    )
    text = encode(ELMAN.corpus(sentences, 42), ELMAN.characters)
    held_out = len(text) // 10
    training, validation = text[:-held_out], text[-held_out:]
    init_generator, sample_generator = np.random.default_rng(options.seed).spawn(2)
    network = initialise(
        len(ELMAN.characters),
        options.hidden_size,
        init_generator,
        activation=options.activation,
        recurrent_init=options.init,
        embedding_size=options.embedding_size,
        freeze_recurrent=options.freeze_recurrent,
    )
    next(chunks(validation, settings.sequence_length))  # raises before the training if the text is too short
    radius = spectral_radius(network.W_hh)
    size = sum(array.size for array in network.parameters().values())
    print(f"{len(training):,} training characters, {held_out:,} validation characters; {size:,} parameters")

    log: list[Step] = []
    start = monotonic()
    line_every = max(1, options.steps // 10)
    for step in train(network, training, settings):
        log.append(step)
        if len(log) % line_every == 0 or len(log) == options.steps:
            rate = len(log) / max(monotonic() - start, 1e-9)
            left = timedelta(seconds=round((options.steps - len(log)) / rate))
            recent = float(np.mean([one.loss for one in log[-line_every:]]))
            print(
                f"{len(log):,}/{options.steps:,} steps  {rate:,.0f} steps/s  {left} left  lr {step.lr:.3g}  "
                f"loss {recent:.4f}  validation {evaluate(network, validation):.4f}",
                flush=True,
            )
        if len(log) == options.steps:
            break

    # The sample continues the validation text, so that it starts from a typical state.
    prefix = np.append(validation, encode(" ", ELMAN.characters))
    written = decode(sample(network, prefix, 200, sample_generator, options.temperature), ELMAN.characters)
    try:
        lexicon = f"{ELMAN.lexicon_share(written):.0%} of its words in the lexicon"
    except UsageError:
        lexicon = "too few words for a share of words in the lexicon"
    recent_norms = np.mean([one.norm_by_time_step for one in log[-line_every:]], axis=0)
    last_norms = last_loss_by_time_step(network, validation, settings.sequence_length)
    print(f"""
loss, nats per character
  training           {evaluate(network, training):.4f}
  validation         {evaluate(network, validation):.4f}
  entropy rate       {ELMAN.entropy_rate:.4f}  the lower bound of the grammar on new text
  unigram entropy    {unigram_entropy(text):.4f}  a predictor that knows only the character frequencies
spectral radius      {radius:.4f} at start, {spectral_radius(network.W_hh):.4f} at end
clipped              {np.mean([one.clipped for one in log]):.1%} of the steps

gradient by time step t of a chunk: the norm of dL/dh_t
   t   loss of the whole chunk                loss of the last step alone
{gradient_picture(recent_norms, last_norms)}

sample at temperature {options.temperature:g}, {lexicon}
  {written.strip()}""")


def main(args: Sequence[str] | None = None, sentences: int = 600) -> None:
    """Run the example; print an error as one line on standard error.

    Args:
        args: The command-line arguments; those of the process if None.
        sentences: The number of sentences of the text.

    Raises:
        SystemExit: With status 2 for a usage error, 1 if the run diverged, 130 for Ctrl-C.
    """
    try:
        example(example_parser().parse_args(args), sentences)
    except UsageError as error:
        print(f"manual_bptt: error: {error}", file=sys.stderr)
        sys.exit(2)
    except DivergedError as error:
        print(f"manual_bptt: error: the run diverged: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
