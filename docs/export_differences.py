"""Measure how far exported networks differ from the networks: python docs/export_differences.py [MODEL ...].

For each overlay, on echo and on elman_grammar: the largest difference between the scores of the untrained network, with
random numbers added to all parameters, and those of its export in ONNX Runtime, over 50 steps of 3 sequences, in single
precision. Prints the rows of docs/export.csv.
"""

import sys

import torch

from tests.helpers.configs import MODELS
from tests.helpers.exported import largest_difference, perturbed_network

TASKS = ("echo", "elman_grammar")


def main() -> None:
    """Print one row for each overlay."""
    torch.set_num_threads(1)
    for model in sys.argv[1:] or MODELS:
        differences = [
            largest_difference(perturbed_network(task, model), perturbed_network(task, model), batch_size=3)
            for task in TASKS
        ]
        print(",".join([model, *(f"{difference:.1e}" for difference in differences)]), flush=True)


if __name__ == "__main__":
    main()
