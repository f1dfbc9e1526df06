"""Word problem: multiply the elements of a group, one after another."""

import itertools
import string
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from rnn_tasks.errors import require
from rnn_tasks.spec import Baseline, Batch, Codec, Grouping, Plateau, TaskSpec
from rnn_tasks.tasks.generated import GeneratedTask

GroupName = Literal["s3", "a4_x_z5", "a5", "s5", "z60"]
SYMBOLS = string.digits + string.ascii_lowercase + string.ascii_uppercase
Permutation = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group of permutations. Element 0 is the identity.

    Args:
        elements: The permutations, in lexicographic order.
        table: The product of each element (row) and each element (column), ``(elements, elements)`` int64.
        cosets: The coset of each element of the commutator subgroup, ``(elements,)`` int64. The cosets are the elements
            of the largest abelian quotient of the group.
    """

    elements: tuple[Permutation, ...]
    table: Tensor
    cosets: Tensor

    @property
    def transpositions(self) -> Tensor:
        """The indices of the elements that swap two points and leave the others, ``(transpositions,)``."""
        moved = [sum(image != point for point, image in enumerate(element)) for element in self.elements]
        return (torch.tensor(moved) == 2).nonzero().flatten()


def even_permutations(points: int) -> list[Permutation]:
    """Return the permutations of ``0..points - 1`` that have an even number of pairs in the wrong order."""
    pairs = list(itertools.combinations(range(points), 2))
    return [p for p in itertools.permutations(range(points)) if sum(p[i] > p[j] for i, j in pairs) % 2 == 0]


def rotations(points: int) -> list[Permutation]:
    """Return the rotations of ``0..points - 1``; rotation k moves 0 to k."""
    return [tuple((point + shift) % points for point in range(points)) for shift in range(points)]


def direct_product(left: list[Permutation], right: list[Permutation]) -> list[Permutation]:
    """Return the pairs of two permutations, of which the second one acts on further points."""
    return [one + tuple(len(one) + point for point in other) for one in left for other in right]


@cache
def group_of(name: GroupName) -> Group:
    """Return a group with its table of products. The product of a and b applies a first, then b."""
    elements: list[Permutation] = {
        "s3": list(itertools.permutations(range(3))),
        "a4_x_z5": direct_product(even_permutations(4), rotations(5)),
        "a5": even_permutations(5),
        "s5": list(itertools.permutations(range(5))),
        "z60": rotations(60),
    }[name]
    index = {element: position for position, element in enumerate(elements)}
    table = torch.tensor([[index[tuple(b[point] for point in a)] for b in elements] for a in elements])
    return Group(tuple(elements), table, commutator_cosets(table))


def commutator_cosets(table: Tensor) -> Tensor:
    """Return the coset of the commutator subgroup to which each element belongs, ``(elements,)``, numbered from 0.

    Args:
        table: The products of a group, ``(elements, elements)``; element 0 is the identity.
    """
    size = len(table)
    inverse = (table == 0).long().argmax(1)
    commutators = table[table, table[inverse][:, inverse]]  # a b a^-1 b^-1
    is_member = torch.zeros(size, dtype=torch.bool).index_fill(0, commutators.flatten(), True)
    members = is_member.nonzero().flatten()
    while True:
        products = table[members][:, members]
        is_member = is_member.index_fill(0, products.flatten(), True)
        if int(is_member.sum()) == len(members):
            break
        members = is_member.nonzero().flatten()
    smallest = table[:, members].amin(1)  # of the coset of each element
    return (smallest == torch.arange(size)).cumsum(0)[smallest] - 1


def word_problem(table: Tensor, elements: Tensor) -> Tensor:
    """Return the product of each prefix of sequences of elements. The class shows an example.

    Args:
        table: The products of the group, ``(size, size)``; element 0 is the identity.
        elements: ``(batch, time)``.

    Returns:
        The products, ``(batch, time)``.
    """
    product = torch.zeros_like(elements[:, 0])
    products = []
    for element in elements.unbind(1):
        product = table[product, element]
        products.append(product)
    return torch.stack(products, 1)


@lru_cache(maxsize=64)
def product_probabilities(name: GroupName, transpositions_only: bool, length: int) -> Tensor:
    """Return the distribution of the product of 0, 1, ..., ``length`` random elements, ``(length + 1, size)`` float64.

    Args:
        name: The group.
        transpositions_only: Whether the elements are random transpositions.
        length: The largest number of elements.
    """
    group = group_of(name)
    chosen = group.table[:, group.transpositions] if transpositions_only else group.table
    step = torch.zeros(group.table.shape, dtype=torch.float64)
    step.scatter_add_(1, chosen, torch.full(chosen.shape, 1 / chosen.shape[1], dtype=torch.float64))
    probabilities = [torch.eye(len(step), dtype=torch.float64)[0]]
    for _ in range(length):
        probabilities.append(probabilities[-1] @ step)
    return torch.stack(probabilities)


def entropy(probabilities: Tensor) -> float:
    """Return the entropy of a distribution in nats."""
    return float(torch.special.entr(probabilities).sum())


class WordProblem(GeneratedTask):
    """Multiply the elements of a group, one after another (the word problem of the group).

    ::

        time      0 1 2 3 4
        inputs    1 2 1 5 2      elements g_0, g_1, ...
        targets   1 3 5 0 2      products g_0, g_0 g_1, g_0 g_1 g_2, ...

    The example is from S3, the permutations of three points: 0 = 012, 1 = 021, 2 = 102, 3 = 120, 4 = 201, 5 = 210. The
    three digits of a permutation are the images of the points 0, 1, 2. The product g h applies g first, then h. In each
    group, the elements are permutations in lexicographic order, so 0 is the identity. In ``z60``, k is the rotation by
    k places.

    All steps are scored. The first one is the first element itself and needs no memory, so it does not count for the
    accuracy.

    Args:
        group: ``s3`` (6 permutations of three points), ``a4_x_z5`` (60 elements; solvable), ``a5`` (the 60 even
            permutations of five points; not solvable), ``s5`` (120 permutations; not solvable) or ``z60`` (60
            rotations; abelian).
        length: Elements in a sequence, ``>= 2``. At ``eval_lengths``, only the last product counts for the accuracy.
        transpositions_only: Whether the inputs are transpositions, which swap two points, instead of all elements. Only
            ``s3`` and ``s5`` have them.
        options: Options of :class:`GeneratedTask`.

    Raises:
        UsageError: A value is out of bounds, or the group has no transpositions.

    References:
        D. A. Barrington, "Bounded-width polynomial-size branching programs recognize exactly those languages in NC1",
        Journal of Computer and System Sciences 38 (1989) (https://doi.org/10.1016/0022-0000(89)90037-8). The groups of
        60 elements: W. Merrill, J. Petty and A. Sabharwal, "The illusion of state in state-space models", ICML 2024
        (https://arxiv.org/abs/2404.08819). S3 and S5, also with transpositions only: J. Siems et al., "DeltaProduct:
        Improving state-tracking in linear RNNs via Householder products", 2025 (https://arxiv.org/abs/2502.10297).

    Example:
        >>> word_problem(group_of("s3").table, torch.tensor([[1, 2, 1, 5, 2]]))
        tensor([[1, 3, 5, 0, 2]])
    """

    def __init__(
        self, group: GroupName = "s3", length: int = 12, transpositions_only: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        names = get_args(GroupName)
        require(group in names, f"group must be one of {', '.join(names)}, got {group}")
        require(length >= 2, f"length must be at least 2, got {length}")
        require(
            not transpositions_only or group in ("s3", "s5"),
            f"{group} has no transpositions: leave out transpositions_only, or choose group s3 or s5",
        )
        self.group_name = group
        self.group = group_of(group)
        self.length = length
        self.training_length = length
        self.transpositions_only = transpositions_only
        self.memory_from = 2

    @property
    def spec(self) -> TaskSpec:
        """The symbols are the elements of the group; groups of more than 62 elements have no strings."""
        size = len(self.group.elements)
        if size > len(SYMBOLS):
            return TaskSpec(size, size)
        symbols = SYMBOLS[:size]
        letters = "".join(symbols[index] for index in self._inputs.tolist())
        return TaskSpec(size, size, codec=Codec(symbols, letters))

    @property
    def baseline(self) -> Baseline:
        """A predictor that knows how often each product occurs, and nothing else: ln(size) and 1/size.

        With transpositions only, not all products are equally likely, and these values are slightly different. A
        network is learning if its loss is below 95 % of the loss of a predictor that knows the first product.
        """
        loss, accuracy = self._score_of_latest(0)
        return Baseline(loss, accuracy, learning_loss=0.95 * self._score_of_latest(1)[0])

    @property
    def plateaus(self) -> tuple[Plateau, ...]:
        """Predictors that know the latest one or two elements, or the abelian quotient.

        All of them know the first product. The abelian quotient of ``s3`` and ``s5`` is the sign: whether the product
        is an even permutation.
        """
        plateaus = [Plateau("knows only the latest element", *self._score_of_latest(1))]
        if self.length > 2:
            plateaus.append(Plateau("knows only the latest two elements", *self._score_of_latest(2)))
        quotient = int(self.group.cosets.max()) + 1
        if 1 < quotient < len(self.group.elements):
            name = "sign" if self.group_name in ("s3", "s5") else "abelian quotient"
            plateaus.append(Plateau(f"knows only the {name}", *self._score_of_quotient()))
        return tuple(plateaus)

    @property
    def grouping(self) -> Grouping:
        """Results are sorted by the number of elements of the product."""
        return Grouping("length", self.length + 1)

    def at_length(self, length: int) -> Self:
        """Return this task with longer sequences; only the last product counts for the accuracy.

        Args:
            length: Elements in a sequence, ``>= 2``.
        """
        require(length >= 2, f"eval_lengths must be at least 2, got {length}")
        return self.changed(length=length, memory_from=length)

    def sample(self, num_sequences: int, split: str, generator: torch.Generator) -> Batch:
        """Draw random elements."""
        inputs = self._inputs
        elements = inputs[torch.randint(0, len(inputs), (num_sequences, self.length), generator=generator)]
        group = torch.arange(1, self.length + 1).expand_as(elements)
        return Batch(elements, word_problem(self.group.table, elements), group >= self.memory_from, group=group)

    @property
    def _inputs(self) -> Tensor:
        """The elements that occur in the inputs, ``(inputs,)``."""
        return self.group.transpositions if self.transpositions_only else torch.arange(len(self.group.elements))

    def _products(self, start: int, stop: int) -> Tensor:
        """Return the mean distribution of the products of ``start..stop`` elements, ``(size,)``."""
        return product_probabilities(self.group_name, self.transpositions_only, self.length)[start : stop + 1].mean(0)

    def _score_of_latest(self, known: int) -> tuple[float, float]:
        """Return loss and accuracy of a predictor that knows the latest elements, and the first products.

        What it does not know is the product of all elements before the latest ones.

        Args:
            known: Number of elements that it knows, ``0 <= known < length``.
        """
        loss = (self.length - known) * entropy(self._products(1, self.length - known)) / self.length
        first_unknown = max(self.memory_from, known + 1)
        num_unknown = self.length - first_unknown + 1
        correct = num_unknown * self._products(first_unknown - known, self.length - known).max().item()
        correct += first_unknown - self.memory_from
        return loss, correct / (self.length - self.memory_from + 1)

    def _score_of_quotient(self) -> tuple[float, float]:
        """Return loss and accuracy of a predictor that knows the coset of each product, and the first product."""
        scored, counted = self._products(2, self.length), self._products(self.memory_from, self.length)
        num_cosets = int(self.group.cosets.max()) + 1
        cosets = torch.zeros(num_cosets, dtype=torch.float64)
        unknown = entropy(scored) - entropy(cosets.scatter_add(0, self.group.cosets, scored))
        best = cosets.scatter_reduce(0, self.group.cosets, counted, "amax")
        return (self.length - 1) / self.length * unknown, best.sum().item()
