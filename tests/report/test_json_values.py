import math

import numpy as np
import torch

from rnn_tasks.report.json_values import plain


def test_plain_converts_arrays_tuples_and_nan() -> None:
    values = {"a": (1, 2.5), "b": np.float32("nan"), "c": torch.tensor(2), "d": -math.inf, "e": True, "f": None}
    assert plain(values) == {"a": [1, 2.5], "b": None, "c": 2, "d": None, "e": True, "f": None}
    assert plain(np.array([complex(1, math.nan)])) == [[1.0, None]]
