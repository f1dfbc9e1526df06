"""Rows of the table: ratios of several turns, the bound that their median should hold, and whether it does."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

COLUMNS = ("group", "what", "figure", "median", "range", "CPU", "bound", "verdict", "ours", "peer", "note")


class NotMeasuredError(Exception):
    """Something cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Bound:
    """A bound on a figure.

    Args:
        side: Whether the figure may be at most or at least the value.
        value: The value, itself allowed.
    """

    side: Literal["<=", ">="]
    value: float

    def holds(self, figure: float) -> bool:
        """Whether a figure keeps to it."""
        return figure <= self.value if self.side == "<=" else figure >= self.value

    def __str__(self) -> str:
        return f"{self.side} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """A figure, measured several times.

    Args:
        group: Which benchmark it is of.
        what: What was measured.
        figure: What the values are, as in ``ours / peer``.
        values: One for each turn; empty if it was not measured.
        bound: What the median should hold; None if nothing is asked.
        cpu: Median of the same ratio of CPU time, of all threads together; None if that is not known.
        ours: Median of our side; None if there is none.
        peer: Median of the other side; None if there is none.
        unit: Of ``ours`` and ``peer``.
        note: Why it was not measured, or what else must be known.
    """

    group: str
    what: str
    figure: str
    values: tuple[float, ...] = ()
    bound: Bound | None = None
    cpu: float | None = None
    ours: float | None = None
    peer: float | None = None
    unit: str = "s"
    note: str = ""

    @property
    def median(self) -> float | None:
        """The median over turns; None if it was not measured."""
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """``holds``, ``does not hold`` or ``not measured``; empty where nothing is asked.

        Example:
            >>> Row("cores", "n = 8", "torch / ours", (1.0, 1.5, 1.3), Bound(">=", 1.2)).verdict
            'holds'
        """
        if self.median is None:
            return "not measured"
        if self.bound is None:
            return ""
        return "holds" if self.bound.holds(self.median) else "does not hold"

    def cells(self) -> tuple[str, ...]:
        """The texts of the table, in the order of ``COLUMNS``."""
        spread = f"{shown(min(self.values))} to {shown(max(self.values))}" if len(self.values) > 1 else ""
        bound = "" if self.bound is None else str(self.bound)
        sides = [quantity(value, self.unit) for value in (self.ours, self.peer)]
        return (
            *(self.group, self.what, self.figure, shown(self.median), spread, shown(self.cpu), bound, self.verdict),
            *(*sides, self.note),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the median and the verdict among them."""
        bound = None if self.bound is None else str(self.bound)
        return {**asdict(self), "bound": bound, "median": self.median, "verdict": self.verdict}


def shown(value: float | None) -> str:
    """A ratio with as many digits as mean something; empty if there is none.

    Example:
        >>> shown(0.98765), shown(12.345), shown(345.6), shown(None)
        ('0.988', '12.3', '346', '')
    """
    if value is None:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def quantity(value: float | None, unit: str) -> str:
    """A value with its unit; seconds in the unit that suits them.

    Example:
        >>> quantity(0.00123, "s"), quantity(12.3, "s"), quantity(71809.0, "tokens/s"), quantity(None, "s")
        ('1.230 ms', '12.3 s', '71,809 tokens/s', '')
    """
    if value is None:
        return ""
    if unit == "s" and value < 1:
        return f"{shown(value * 1e3)} ms" if value >= 1e-3 else f"{shown(value * 1e6)} us"
    return f"{shown(value)} {unit}"


def as_markdown(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The facts as a list, then the rows as a table, in Markdown."""
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells())} |" for row in rows)]) + "\n"


def as_text(rows: Sequence[Row]) -> str:
    """The rows in columns for a terminal; columns without any text are left out."""
    table = [COLUMNS, *(row.cells() for row in rows)]
    kept = [column for column in zip(*table, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in kept]
    lines = zip(*kept, strict=True)
    return "\n".join("  ".join(map(str.ljust, cells, widths)).rstrip() for cells in lines)


def as_json(rows: Sequence[Row], facts: Mapping[str, Any]) -> str:
    """The facts and every value of every turn."""
    return json.dumps({**facts, "rows": [row.to_dict() for row in rows]}, indent=2) + "\n"
