"""Print the answer of the network in this folder to a string: python example.py [STRING [DELAY]].

Needs numpy and onnxruntime. A space is printed at every step at which no answer is due.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def respond(folder: Path, text: str | None = None, delay: int | None = None) -> str:
    """Return the answer to a string; the example of the task without one."""
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    task = metadata["strings"]
    text = task["example"] if text is None else text
    delay = task["example_delay"] if delay is None else delay
    symbols = [metadata["input_symbols"].index(letter) for letter in text]
    for part in task["cue"]:  # inputs that the task adds after the string
        count = part["per_delay"] * delay + part["per_letter"] * len(text) + part["constant"]
        symbols += [part["symbol"]] * max(0, count)
    state = {part["name"]: np.zeros([size or 1 for size in part["shape"]], np.float32) for part in metadata["state"]}
    answer = ""
    for step, symbol in enumerate(symbols):
        inputs = {"symbols": np.array([symbol])}
        if task["conditional"]:
            inputs["condition"] = np.array([delay])
        scores, *after = session.run(None, {**inputs, **state})
        state = dict(zip(state, after, strict=True))
        is_due = step >= delay + task["answer_per_letter"] * len(text)
        if task["answer_at"] and step < len(text):
            is_due &= text[step] in task["answer_at"] and text[step + 1 : step + 2] not in tuple(task["not_before"])
        answer += metadata["output_symbols"][scores[0].argmax()] if is_due else " "
    return answer


if __name__ == "__main__":
    given_text = sys.argv[1] if len(sys.argv) > 1 else None
    given_delay = int(sys.argv[2]) if len(sys.argv) > 2 else None
    print(respond(Path(__file__).parent, given_text, given_delay))
