"""One time step of a network as an ONNX model."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rnn_tasks.errors import UsageError
from rnn_tasks.export.step import Step

SYMBOLS, FEATURES, CONDITION, SCORES, NEXT = "symbols", "features", "condition", "scores", "next_"
"""Names of inputs and outputs; the name of a tensor of the new state begins with ``NEXT``."""

INSTALL = 'rnn-tasks export needs two more packages: pip install "rnn-tasks[onnx]"'
"""The error message if a package is missing."""


def input_name(step: Step) -> str:
    """Return the name of the first input: ``symbols`` or ``features``."""
    return FEATURES if step.network.spec.real_inputs else SYMBOLS


def onnx_model(step: Step, metadata: Mapping[str, str]) -> bytes:
    """Return an ONNX model of a time step. The size of the batch is free.

    Args:
        step: The step.
        metadata: What the model says about itself, by name.

    Returns:
        The contents of the file.

    Raises:
        UsageError: A package is missing, or ONNX cannot express an operation of the layer.
    """
    try:
        import onnxscript  # noqa: F401  # torch imports it, and would say less
        from onnx.helper import set_model_props
    except ImportError as error:
        raise UsageError(INSTALL) from error
    inputs, condition = step.inputs(batch_size=2, steps=1)
    state = [tensor.zeros(2) for tensor in step.tensors]
    batch = torch.export.Dim("batch")
    axes = [{tensor.shape.index(None): batch} for tensor in step.tensors]
    names = [tensor.name for tensor in step.tensors]
    with quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                step,
                (inputs[:, 0], condition, state),
                dynamic_shapes=({0: batch}, None if condition is None else {0: batch}, axes),
            )
            graphs = [part.graph for part in program.graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
            if any(node.target in DECOMPOSITIONS for graph in graphs for node in graph.nodes):
                program = program.run_decompositions(DECOMPOSITIONS)
            converted = torch.onnx.export(
                program,
                input_names=[input_name(step), *([] if condition is None else [CONDITION]), *names],
                output_names=[SCORES, *(NEXT + name for name in names)],
                verbose=False,
            )
        except Exception as error:  # torch and onnxscript may raise anything
            raise UsageError(f"this layer cannot be exported: {reason(error)}") from error
    assert converted is not None
    for node in converted.model.graph.all_nodes():
        node.metadata_props.clear()  # paths of this machine
    model = converted.model_proto
    model.producer_name = "rnn_tasks"
    set_model_props(model, dict(metadata))
    return bytes(model.SerializeToString())


def reason(error: BaseException) -> str:
    """Return why an export failed in one line: the innermost message, without colours.

    Args:
        error: The exception of torch or onnxscript.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings and notes of torch's exporter, which are about packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def solve_triangular(
    matrix: Tensor, right: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """Return the solution of a lower triangular system with ones on the diagonal, row after row.

    Args:
        matrix: ``(..., n, n)``.
        right: ``(..., n, columns)``.
        upper: Must be false, as in the layers of the package.
        left: Must be true.
        unitriangular: Must be true.
    """
    if upper or not left or not unitriangular:
        raise NotImplementedError("solve_triangular of another kind")
    rows: list[Tensor] = []
    for i in range(matrix.shape[-1]):
        row = right[..., i : i + 1, :]
        for j, earlier in enumerate(rows):
            row = row - matrix[..., i : i + 1, j : j + 1] * earlier
        rows.append(row)
    return torch.cat(rows, -2)


def cummax(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the running maximum of a dimension of size 1, and its indices.

    Args:
        values: The values.
        dim: The dimension.
    """
    if values.shape[dim] != 1:
        raise NotImplementedError("cummax over several steps")
    return values.clone(), torch.zeros_like(values, dtype=torch.long)


DECOMPOSITIONS: dict[Any, Any] = {
    torch.ops.aten.linalg_solve_triangular.default: solve_triangular,
    torch.ops.aten.cummax.default: cummax,
}
"""Operations that ONNX does not have, in operations that ONNX has."""
