"""Links between the pages, written for files on disk and for a forge, as Sphinx expects them.

A page refers to files outside docs/ (``../README.md``), which the site shows as pages of its own or offers as
downloads, and to anchors such as ``<a id="copy"></a>``.
"""

import re

from sphinx.application import Sphinx

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files beside docs/, and the pages of the site that show them."""


def rewrite(text: str) -> str:
    """Return a page with links to pages of the site, and with labels in place of anchors."""
    for file, page in PAGES.items():
        text = text.replace(f"](../{file}", f"]({page}")
    text = text.replace("](../examples)", "](tutorials/index.rst)")
    text = re.sub(r"\]\(\.\./examples/(\w+)\.py", r"](tutorials/\1.rst", text)
    text = re.sub(r'^(#+ )<a id="([^"]+)"></a>', r"(\2)=\n\1", text, flags=re.MULTILINE)
    return re.sub(r'^- <a id="([^"]+)"></a>', r"- (\1)=\n  ", text, flags=re.MULTILINE)


def rewrite_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Rewrite a Markdown page before Sphinx reads it."""
    if app.env.doc2path(page).suffix == ".md":
        source[0] = rewrite(source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("source-read", rewrite_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
