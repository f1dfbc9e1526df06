"""The generated tasks, in all their layouts, for tests of what every task has in common."""

from collections.abc import Callable

from rnn_tasks.tasks import (
    Adding,
    Automaton,
    Copy,
    Counting,
    Echo,
    FlipFlopBits,
    GeneratedTask,
    SelectiveCopy,
    TemporalOrder,
    VariableDelayEcho,
    WordProblem,
)

GENERATED: dict[str, Callable[..., GeneratedTask]] = {
    "adding": lambda **options: Adding(length=12, **options),
    "adding tcn": lambda **options: Adding(length=12, layout="tcn", **options),
    "adding hochreiter": lambda **options: Adding(length=20, layout="hochreiter", **options),
    "automaton": lambda **options: Automaton(min_length=60, max_length=64, **options),
    "automaton every_step": lambda **options: Automaton("cycle", "every_step", 32, 28, **options),
    "automaton tomita_4": lambda **options: Automaton("tomita_4", "end", 64, 60, True, **options),
    "copy": Copy,
    "copy arjovsky": lambda **options: Copy(layout="arjovsky", min_delay=3, delay=9, **options),
    "counting": Counting,
    "counting an_bm_cnm": lambda **options: Counting("an_bm_cnm", **options),
    "echo": Echo,
    "flip_flop_bits": lambda **options: FlipFlopBits(length=12, **options),
    "selective_copy s4_variable": lambda **options: SelectiveCopy("s4_variable", 10, 20, length=14, **options),
    "selective_copy mad": lambda **options: SelectiveCopy("mad", 10, 20, length=14, **options),
    "selective_copy denoise": lambda **options: SelectiveCopy("denoise", 10, 20, length=14, **options),
    "selective_copy noisy": lambda **options: SelectiveCopy("noisy", 10, 20, length=14, **options),
    "temporal_order": lambda **options: TemporalOrder(length=20, **options),
    "temporal_order hochreiter": lambda **options: TemporalOrder(20, 3, "hochreiter", **options),
    "variable_delay_echo": VariableDelayEcho,
    "variable_delay_echo every_delay": lambda **options: VariableDelayEcho(max_delay=1, every_delay=True, **options),
    "word_problem": lambda **options: WordProblem(length=20, **options),
    "word_problem transpositions": lambda **options: WordProblem("s5", 20, True, **options),
}
"""Constructors by name; each takes the options of ``GeneratedTask``. Small sequences, so that the tests are fast."""
