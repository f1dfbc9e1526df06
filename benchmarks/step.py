"""2: one optimizer step under ``fit``, default callbacks and loggers, over one of a plain loop; without validation."""

from collections.abc import Iterator

from benchmarks.interleaved import CASES, GRAMMAR, step_laps
from benchmarks.rows import Bound, Row
from benchmarks.turns import Setting, ratio_row


def measure(setting: Setting) -> Iterator[Row]:
    """A row for each recipe."""
    for case in CASES:
        laps = step_laps(case, ["fit", "plain"], setting.count(11, 3), setting.quick)
        bound = Bound("<=", 1.6 if case is GRAMMAR else 1.12)
        steps = case.quick_block if setting.quick else case.block
        yield ratio_row("step", case.what, laps, "fit", "plain", bound, note=f"{steps} steps a turn")
