"""Continue a text with the network in this folder: python example.py [PREFIX [LENGTH]].

Needs numpy and onnxruntime. The most probable character is always taken.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def generate(folder: Path, prefix: str | None = None, length: int = 200) -> str:
    """Return a prefix, of at least one character, and the characters that follow it."""
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    characters = metadata["input_symbols"]  # the first one stands for all that are not known
    text = metadata["prefix"] if prefix is None else prefix
    symbols = [characters.index(character) if character in characters else 0 for character in text]
    state = {part["name"]: np.zeros([size or 1 for size in part["shape"]], np.float32) for part in metadata["state"]}
    for step in range(len(text) + length - 1):
        scores, *after = session.run(None, {"symbols": np.array([symbols[step]]), **state})
        state = dict(zip(state, after, strict=True))
        if step + 1 == len(symbols):
            symbols.append(int(scores[0].argmax()))
            text += characters[symbols[-1]]
    return text


if __name__ == "__main__":
    given_prefix = sys.argv[1] if len(sys.argv) > 1 else None
    given_length = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    print(generate(Path(__file__).parent, given_prefix, given_length))
