"""JavaScript in Node."""

import json
import shutil
import subprocess
from typing import Any

import pytest


def run_node(script: str, data: object) -> Any:
    """Return the JSON that a script prints; skip the test if Node is not installed.

    Args:
        script: The text of the script. Its global ``data`` holds the data.
        data: Values that JSON can represent.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    read = 'globalThis.data = JSON.parse(require("node:fs").readFileSync(0, "utf8"));\n'
    result = subprocess.run([node, "-e", read + script], input=json.dumps(data), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
