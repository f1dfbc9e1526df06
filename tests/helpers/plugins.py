"""Plug-ins as an installation leaves them: a folder with the metadata of a distribution, and the files of a package."""

from collections.abc import Mapping
from pathlib import Path

LAYER = '''
from rnn_tasks.cores import Elman

class SampleLayer(Elman):
    """A layer of the sample plug-in."""
'''
TASK = '''
from rnn_tasks.tasks import Echo

class SampleTask(Echo):
    """A task of the sample plug-in."""
'''
RECIPE = """
data: {class_path: SampleTask}
model:
  class_path: SequenceTagger
  init_args: {core: {class_path: Elman, init_args: {hidden_size: 8}}, optimizer: Adam}
trainer: {max_steps: 4, val_check_interval: 2, check_val_every_n_epoch: null}
"""
STUDY = """
about: Which layer is the better sample?
axes:
  layer: {sample: {configs: models/sample_layer}, gru: {configs: models/gru}}
configs: sample_task
"""

SAMPLE = {
    "sample_plugin/__init__.py": "",
    "sample_plugin/classes.py": "import os\nfrom sample_plugin.layer import SampleLayer\n"
    "from sample_plugin.task import SampleTask\n",
    "sample_plugin/layer.py": LAYER,
    "sample_plugin/task.py": TASK,
    "sample_plugin/configs/echo.yaml": RECIPE,
    "sample_plugin/configs/sample_task.yaml": RECIPE,
    "sample_plugin/configs/models/sample_layer.yaml": "model: {init_args: {core: {class_path: SampleLayer}}}",
    "sample_plugin/configs/models/sample_layer/echo.yaml": "trainer: {max_steps: 77}",
    "sample_plugin/configs/models/gru/sample_task.yaml": "trainer: {max_steps: 78}",
    "sample_plugin/configs/studies/sample_study.yaml": STUDY,
    "sample_plugin/configs/studies/sample_broken.yaml": "axes: [",
}
"""The files of a plug-in with a task, a layer, an overlay and a study."""


def install(folder: Path, name: str, module: str, files: Mapping[str, str]) -> Path:
    """Write a plug-in as if it were installed.

    Args:
        folder: A folder of ``sys.path``.
        name: The name of the distribution and of the entry point.
        module: The value of the entry point.
        files: The contents of its files by path.

    Returns:
        The folder.
    """
    metadata = f"{name}-1.0.dist-info"
    contents = {
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{metadata}/entry_points.txt": f"[rnn_tasks]\n{name} = {module}\n",
        **files,
    }
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder
