"""The table of results: a row for each measured quantity, with its bound and a verdict on its median."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from torch.utils.benchmark import select_unit

COLUMNS = ("group", "case", "quantity", "median", "range", "bound", "verdict", "times", "note")


class NotMeasuredError(Exception):
    """A quantity cannot be measured on this machine; the message gives the reason."""


@dataclass(frozen=True)
class Row:
    """A quantity that was measured in several rounds.

    Args:
        group: Name of the benchmark.
        case: The setting that was measured.
        quantity: The meaning of the values, such as ``fit / plain loop``.
        values: One value for each round; empty if the quantity was not measured.
        at_most: Inclusive upper bound on the median; None for no bound.
        at_least: Inclusive lower bound on the median; None for no bound.
        times: Median seconds of the numerator and the denominator of a ratio; empty for other quantities.
        note: A remark, such as the reason why the quantity was not measured.
    """

    group: str
    case: str
    quantity: str
    values: Sequence[float] = ()
    at_most: float | None = None
    at_least: float | None = None
    times: Sequence[float] = ()
    note: str = ""

    @property
    def median(self) -> float | None:
        """The median over rounds; None if the quantity was not measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold`` or ``not measured``; empty without a bound.

        Example:
            >>> Row("cores", "n = 8", "torch / ours", (1.0, 1.5, 1.3), at_least=1.2).verdict
            'holds'
        """
        if self.median is None:
            return "not measured"
        if self.at_most is None and self.at_least is None:
            return ""
        below = self.at_most is None or self.median <= self.at_most
        above = self.at_least is None or self.median >= self.at_least
        return "holds" if below and above else "does not hold"

    def cells(self) -> tuple[str, ...]:
        """Return the text of each cell, in the order of ``COLUMNS``."""
        median = "" if self.median is None else as_number(self.median)
        spread = f"{as_number(min(self.values))} to {as_number(max(self.values))}" if len(self.values) > 1 else ""
        bounds = {"<=": self.at_most, ">=": self.at_least}
        bound = " and ".join(f"{sign} {value:g}" for sign, value in bounds.items() if value is not None)
        units = [(seconds, *select_unit(seconds)) for seconds in self.times]
        times = " / ".join(f"{as_number(seconds / factor)} {unit}" for seconds, unit, factor in units)
        return (self.group, self.case, self.quantity, median, spread, bound, self.verdict, times, self.note)


def as_number(value: float) -> str:
    """Return a number as text, with three or four digits.

    Example:
        >>> as_number(0.98765), as_number(12.345), as_number(3456)
        ('0.988', '12.3', '3,456')
    """
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def as_markdown(rows: Sequence[Row], facts: Mapping[str, object]) -> str:
    """Return Markdown with a list of facts about the machine and a table of the rows."""
    lines = [*(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells())} |" for row in rows)]) + "\n"


def as_text(rows: Sequence[Row]) -> str:
    """Return the rows in aligned columns for a terminal, without empty columns."""
    columns = zip(COLUMNS, *(row.cells() for row in rows), strict=True)
    filled = [column for column in columns if any(column[1:])]
    widths = [max(map(len, column)) for column in filled]
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in zip(*filled, strict=True))


def as_json(rows: Sequence[Row], facts: Mapping[str, object]) -> str:
    """Return JSON with the facts about the machine and the rows, with the values of all rounds."""
    row_dicts = [{**asdict(row), "median": row.median, "verdict": row.verdict} for row in rows]
    return json.dumps({**facts, "rows": row_dicts}, indent=2) + "\n"
