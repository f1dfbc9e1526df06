"""Node.js scripts that tests run."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


def run_node(script: Path, value: object) -> Any:
    """Run a script with a value as JSON on its standard input; return the value that it prints as JSON.

    The test is skipped if Node.js is not installed.

    Args:
        script: The script.
        value: Anything that JSON can represent.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    process = subprocess.run(
        [node, str(script)], input=json.dumps(value), capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)
