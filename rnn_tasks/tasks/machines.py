"""Finite automata: parity, walks on a cycle, arithmetic modulo 5, and the languages of Tomita."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

from rnn_tasks.spec import NOT_SCORED

LanguageName = Literal[
    "parity",
    "even_pairs",
    "cycle",
    "modular",
    "modular_left_to_right",
    "tomita_1",
    "tomita_2",
    "tomita_3",
    "tomita_4",
    "tomita_5",
    "tomita_6",
    "tomita_7",
]
MODULUS = 5
"""The size of the cycle, and the modulus of the arithmetic."""

DIGITS = "01234"
State = TypeVar("State")


@dataclass(frozen=True, eq=False)
class Machine:
    """A finite automaton. State 0 is the start.

    Args:
        letters: The character of each input symbol.
        outputs: The character of each answer.
        table: The next state for each state and symbol, ``(states, letters)`` int64.
        allowed: Whether a symbol may come in a state, ``(states, letters)`` bool.
        answers: The answer in each state, ``(states,)`` int64; ``NOT_SCORED`` in a state in which no string ends.
        classes: For each class of strings, the states in which its strings end, ``(classes, states)`` bool. The classes
            are equally likely.
        sample: A string that shows the language.
    """

    letters: str
    outputs: str
    table: Tensor
    allowed: Tensor
    answers: Tensor
    classes: Tensor
    sample: str

    @property
    def is_arithmetic(self) -> bool:
        """Whether strings are expressions, which have odd lengths."""
        return not bool(self.allowed.all())

    def answers_after(self, symbols: Tensor) -> Tensor:
        """Return the answer after each symbol of strings, ``(batch, time)``; ``NOT_SCORED`` where none is due."""
        state = torch.zeros_like(symbols[:, 0])
        states = []
        for symbol in symbols.unbind(1):
            state = self.table[state, symbol]
            states.append(state)
        return self.answers[torch.stack(states, 1)]


def machine(
    letters: str,
    outputs: str,
    states: Sequence[State],
    step: Callable[[State, str], State | None],
    answer: Callable[[State], int | None],
    sample: str,
) -> Machine:
    """Return the automaton of which these are the states, the first one the start.

    Args:
        letters: The character of each input symbol.
        outputs: The character of each answer.
        states: The states, in any form.
        step: Returns the state after a state and a letter; None where the letter is not allowed.
        answer: Returns the answer in a state; None in a state in which no string ends.
        sample: A string that shows the language.
    """
    steps = [[step(state, letter) for letter in letters] for state in states]
    found = [answer(state) for state in states]
    answers = torch.tensor([NOT_SCORED if value is None else value for value in found])
    return Machine(
        letters,
        outputs,
        table=torch.tensor([[0 if after is None else states.index(after) for after in row] for row in steps]),
        allowed=torch.tensor([[after is not None for after in row] for row in steps]),
        answers=answers,
        classes=(answers != NOT_SCORED)[None],
        sample=sample,
    )


def acceptor(table: Sequence[str], accepting: str, sample: str) -> Machine:
    """Return an automaton over 0 and 1 that answers "y" (yes, 1) or "n" (no, 0); half of its strings are accepted.

    Args:
        table: For each state, the next states after 0 and after 1, one digit each.
        accepting: The digits of the accepting states.
        sample: A string that shows the language.
    """
    answers = torch.tensor([int(str(state) in accepting) for state in range(len(table))])
    return Machine(
        "01",
        "ny",
        table=torch.tensor([[int(state) for state in row] for row in table]),
        allowed=torch.ones(len(table), 2, dtype=torch.bool),
        answers=answers,
        classes=torch.stack([answers == 0, answers == 1]),
        sample=sample,
    )


def parity() -> Machine:
    """Return the automaton of the number of ones mod 2; a state is this number."""
    return machine("01", "01", (0, 1), lambda state, letter: state ^ int(letter), lambda state: state, "1011")


def even_pairs() -> Machine:
    """Return the automaton of the number of pairs 01 and 10 mod 2; a state is (first symbol, latest symbol).

    The number is odd if the first and the last symbol differ.
    """
    return machine(
        "01",
        "01",
        states=[("", ""), *((first, latest) for first in "01" for latest in "01")],
        step=lambda state, letter: (state[0] or letter, letter),
        answer=lambda state: int(state[0] != state[1]) if state[0] else None,
        sample="0111",
    )


def cycle() -> Machine:
    """Return the automaton of a walk on a cycle of five places; a state is a place."""
    moves = {"l": -1, "s": 0, "r": 1}
    return machine(
        "lsr",
        DIGITS,
        states=range(MODULUS),
        step=lambda place, letter: (place + moves[letter]) % MODULUS,
        answer=lambda place: place,
        sample="rrlr",
    )


def modular() -> Machine:
    """Return the automaton of expressions modulo 5, in which products come before sums and differences.

    A state is (sum of the finished terms, product of the present term with its sign, whether a digit comes next).
    """

    def step(state: tuple[int, int, bool], letter: str) -> tuple[int, int, bool] | None:
        total, product, is_digit_next = state
        if letter.isdigit() != is_digit_next:
            return None
        if letter.isdigit():
            return total, product * int(letter) % MODULUS, False
        if letter == "*":
            return total, product, True
        return (total + product) % MODULUS, {"+": 1, "-": MODULUS - 1}[letter], True

    start = (0, 1, True)
    values = range(MODULUS)
    states = [(total, product, is_next) for total in values for product in values for is_next in (True, False)]
    return machine(
        DIGITS + "+-*",
        DIGITS,
        states=[start, *(state for state in states if state != start)],
        step=step,
        answer=lambda state: None if state[2] else (state[0] + state[1]) % MODULUS,
        sample="2+3*4",
    )


def modular_left_to_right() -> Machine:
    """Return the automaton of expressions modulo 5 that are computed from left to right.

    A state is (value so far, the operator before the next digit; empty after a digit).
    """

    def step(state: tuple[int, str], letter: str) -> tuple[int, str] | None:
        value, operator = state
        if letter.isdigit() != bool(operator):
            return None
        if not letter.isdigit():
            return value, letter
        digit = int(letter)
        return {"+": value + digit, "-": value - digit, "*": value * digit}[operator] % MODULUS, ""

    start = (0, "+")
    states = [(value, operator) for value in range(MODULUS) for operator in ("", "+", "-", "*")]
    return machine(
        DIGITS + "+-*",
        DIGITS,
        states=[start, *(state for state in states if state != start)],
        step=step,
        answer=lambda state: None if state[1] else state[0],
        sample="2+3*4",
    )


MACHINES: dict[LanguageName, Machine] = {
    "parity": parity(),
    "even_pairs": even_pairs(),
    "cycle": cycle(),
    "modular": modular(),
    "modular_left_to_right": modular_left_to_right(),
    "tomita_1": acceptor(["10", "11"], "0", "1111"),
    "tomita_2": acceptor(["21", "02", "22"], "0", "1010"),
    # The states of tomita_3: 0 no odd run of ones has ended, 1 in an odd run of ones, 2 after one and in an odd run of
    # zeros, 3 after one and not in an odd run of zeros, 4 rejected.
    "tomita_3": acceptor(["01", "20", "34", "23", "44"], "013", "0110"),
    "tomita_4": acceptor(["10", "20", "30", "33"], "012", "10010"),
    "tomita_5": acceptor(["12", "03", "30", "21"], "0", "0110"),
    "tomita_6": acceptor(["12", "20", "01"], "0", "1101"),
    "tomita_7": acceptor(["01", "21", "23", "43", "44"], "0123", "00110"),
}
