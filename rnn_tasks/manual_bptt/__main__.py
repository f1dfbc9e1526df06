"""The example ``python -m rnn_tasks.manual_bptt``: an Elman network learns Elman's grammar."""

import argparse
import math
import sys
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
    """A parser whose errors are UsageErrors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def example_parser() -> argparse.ArgumentParser:
    """Return the parser of the example's options."""
    parser = OneLineParser(
        prog="python -m rnn_tasks.manual_bptt",
        description="Train an Elman network, with gradients worked out by hand, to write sentences of Elman's grammar.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    # Names are checked where they are used, so that the message is the same as in Python.
    parser.add_argument("--steps", type=int, default=15_000, help="steps of training, one chunk each")
    parser.add_argument("--hidden-size", type=int, default=64, help="units")
    parser.add_argument("--activation", default="tanh", help=", ".join(get_args(Activation)))
    parser.add_argument("--embedding-size", type=int, help="numbers that stand for a character; one-hot if not given")
    parser.add_argument("--init", default="orthogonal", help=f"how W_hh starts: {', '.join(get_args(RecurrentInit))}")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate, for the sum of a chunk's losses")
    parser.add_argument("--momentum", type=float, default=0.0, help="share of the last step that is made again")
    parser.add_argument("--decay-rate", type=float, default=1.0, help="factor on lr after each DECAY_EVERY steps")
    parser.add_argument("--decay-every", type=int, default=1000, help="steps")
    parser.add_argument("--clip", type=float, default=5.0, help="largest length of the gradient; inf: none")
    parser.add_argument("--freeze-recurrent", action="store_true", help="W_hh stays as it starts (a reservoir)")
    parser.add_argument("--sequence-length", type=int, default=25, help="characters of a chunk")
    parser.add_argument("--temperature", type=float, default=0.5, help="of the sample; 0: always the most probable")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and the sample, not of the text")
    return parser


def gradient_picture(whole: Array, last: Array, width: int = 28) -> str:
    """Return two columns of bars, a line for each time step; each column is scaled to its largest value.

    Example:
        >>> print(gradient_picture(np.array([2.0, 1.0]), np.array([0.1, 1.0]), width=4))
           1   2.0e+00 ####   1.0e-01
           2   1.0e+00 ##     1.0e+00 ####
    """

    def bar(value: float, largest: float) -> str:
        share = value / largest if 0 < largest < math.inf else 0
        return f"{value:.1e} {'#' * round(width * share):{width}}"

    rows = [
        f"{t:4}   {bar(one, whole.max())}   {bar(other, last.max())}".rstrip()
        for t, (one, other) in enumerate(zip(whole, last, strict=True), start=1)
    ]
    return "\n".join(rows)


def example(options: argparse.Namespace, sentences: int = 600) -> None:
    """Train on sentences of Elman's grammar and print the results."""
    at_least(options.steps, 1, "steps")
    at_least(options.seed, 0, "seed")
    if not options.temperature >= 0:  # before the training, not after it
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
    weights, drawing = np.random.default_rng(options.seed).spawn(2)
    network = initialise(
        len(ELMAN.characters),
        options.hidden_size,
        weights,
        activation=options.activation,
        recurrent_init=options.init,
        embedding_size=options.embedding_size,
        freeze_recurrent=options.freeze_recurrent,
    )
    next(chunks(validation, settings.sequence_length))  # raises now, not after the training, if the text is too short
    radius = spectral_radius(network.W_hh)
    size = sum(array.size for array in network.parameters().values())
    print(f"{len(training):,} characters to train on, {held_out:,} held out; {size:,} parameters")

    log: list[Step] = []
    began = monotonic()
    line_every = max(1, options.steps // 10)
    for step in train(network, training, settings):
        log.append(step)
        if len(log) % line_every == 0 or len(log) == options.steps:
            rate = len(log) / max(monotonic() - began, 1e-9)
            left = timedelta(seconds=round((options.steps - len(log)) / rate))
            recent = float(np.mean([one.loss for one in log[-line_every:]]))
            print(
                f"{len(log):,}/{options.steps:,} steps  {rate:,.0f} steps/s  {left} left  lr {step.lr:.3g}  "
                f"loss {recent:.4f}  validation {evaluate(network, validation):.4f}",
                flush=True,
            )
        if len(log) == options.steps:
            break

    # The sample continues the held-out text, so that it starts from a state like those of the training.
    prefix = np.append(validation, encode(" ", ELMAN.characters))
    written = decode(sample(network, prefix, 200, drawing, options.temperature), ELMAN.characters)
    try:
        known = f"{ELMAN.lexicon_share(written):.0%} of its words in the lexicon"
    except UsageError:
        known = "too few words to say how many are in the lexicon"
    recent_norms = np.mean([one.norm_by_time_step for one in log[-line_every:]], axis=0)
    far = last_loss_by_time_step(network, validation, settings.sequence_length)
    print(f"""
loss, nats per character
  training           {evaluate(network, training):.4f}
  validation         {evaluate(network, validation):.4f}
  entropy rate       {ELMAN.entropy_rate:.4f}  of the grammar: no network can do better on new text
  unigram entropy    {unigram_entropy(text):.4f}  of who knows only how frequent each character is
spectral radius      {radius:.4f} at first, {spectral_radius(network.W_hh):.4f} at last
clipped              {np.mean([one.clipped for one in log]):.1%} of the steps

gradient by time step t of a chunk: the length of dL/dh_t
   t   of the whole chunk's loss              of the last step's loss alone
{gradient_picture(recent_norms, far)}

sample at temperature {options.temperature:g}, {known}
  {written.strip()}""")


def main(args: Sequence[str] | None = None, sentences: int = 600) -> None:
    """Run the example; print an error as one line on standard error.

    Args:
        args: The command-line arguments; those of the process if None.
        sentences: The number of sentences of the text.

    Raises:
        SystemExit: With status 2 for an error of usage, 1 for a run that diverged, 130 for Ctrl-C.
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
