"""Print the outputs of the network in this folder for random inputs: python example.py [STEPS].

Needs numpy and onnxruntime.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


def scores(folder: Path, steps: int = 10, seed: int = 0) -> NDArray[np.float32]:
    """Return the outputs for random inputs, ``(steps, output_size)``."""
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    draw = np.random.default_rng(seed)
    state = {part["name"]: np.zeros([size or 1 for size in part["shape"]], np.float32) for part in metadata["state"]}
    outputs = []
    for _ in range(steps):
        inputs = {}
        for part in metadata["inputs"]:
            shape = [size or 1 for size in part["shape"]]
            is_real = part["type"] == "float32"
            inputs[part["name"]] = (
                draw.random(shape, np.float32) if is_real else draw.integers(part["count"], size=shape)
            )
        output, *after = session.run(None, {**inputs, **state})
        state = dict(zip(state, after, strict=True))
        outputs.append(output[0])
    return np.array(outputs)


if __name__ == "__main__":
    print(scores(Path(__file__).parent, *map(int, sys.argv[1:2])))
