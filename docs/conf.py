"""Settings of the documentation site; ``make docs`` builds it into build/docs."""

import logging
import sys
import warnings
from pathlib import Path

import lightning.pytorch  # noqa: F401  # sets the level of its log, which is set again below

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for docs._ext

from rnn_tasks import __version__  # noqa: E402  # after the path

project = "rnn_tasks"
author = project_copyright = "the rnn_tasks authors"
version = release = __version__
html_title = f"rnn_tasks {__version__}"

extensions = [
    "myst_parser",  # the pages are Markdown
    "sphinx.ext.autodoc",  # the reference is made of docstrings
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",  # runs examples/
    "docs._ext.links",  # links and anchors that work on disk work in the site
    "docs._ext.docstrings",  # the docstrings have Google's style
    "docs._ext.names",  # names in docstrings are looked up as Python does
    "docs._ext.reference",  # writes docs/reference/
]
exclude_patterns = ["plugin_template", "tutorials/*.ipynb", "tutorials/*.py"]

highlight_language = "none"  # of blocks that name no language: commands and what they print

# Markdown
myst_heading_anchors = 3  # headings of up to this level have the anchors that a forge gives them
myst_enable_extensions = ["colon_fence"]

# Reference
add_module_names = False
autodoc_default_options = {"ignore-module-all": True}  # a name is documented where it is defined only
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True

# Without a network, names of Python's and other libraries lead nowhere.
OTHERS = (
    "abc argparse collections concurrent enum importlib io multiprocessing pathlib signal sys threading typing "
    "filelock jsonargparse lightning matplotlib np numpy optuna pandas rich torch torchmetrics yaml"
)
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(OTHERS.split())})(\..*)?"),
    ("py:class", "Axes|AxesImage|Figure"),  # matplotlib's, which the package imports for type checks only
    ("py:exc", "StorageInternalError"),  # Optuna's
    ("py:class", r"rnn_tasks\..*\.(State|T|CallbackT)"),  # type variables
]

# Tutorials: without the notes of Lightning
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"/\d\d_",  # all of them are run
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib", "docs._ext.figures.save_last_figure"),  # figures that are not pyplot's
    "image_srcset": ["2x"],  # sharp on screens with small pixels
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "min_reported_time": 1,
    "write_computation_times": False,  # else the site would differ from build to build
}

# Pages
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # would read pages by a request, which a browser refuses for files on disk
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
