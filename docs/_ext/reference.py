"""Writes docs/reference/ before each build: pages that are made of the package, its configs and CITATION.cff."""

from pathlib import Path

import yaml
from sphinx.application import Sphinx

from docs._ext.api_pages import api_pages
from docs._ext.commands_page import commands_page
from docs._ext.configs_pages import overlays_page, recipes_page

ROOT = Path(__file__).parents[2]


def citation_page() -> str:
    """Return the page that says how to cite the package, from CITATION.cff."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    authors = " and ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in cff["authors"]
    )
    year = str(cff.get("date-released", ""))[:4]
    fields = {"author": f"{{{authors}}}", "title": f"{{{cff['title']}}}", "version": cff["version"], "year": year}
    bibtex = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join(
        [
            "# Citation\n",
            f"{cff['message']}\n",
            "```bibtex",
            "@software{rnn_tasks,",
            *bibtex,
            "}",
            "```\n",
            f"Licence: {cff['license']}. [CITATION.cff](../../CITATION.cff) says the same for programs. The page of",
            "[references](../references.md) has the sources of tasks, layers and methods.",
            "",
        ]
    )


def write_pages(app: Sphinx) -> None:
    """Write the pages whose content has changed, and remove pages of earlier builds."""
    pages = {
        "commands.md": commands_page(),
        "recipes.md": recipes_page(),
        "overlays.md": overlays_page(),
        "citation.md": citation_page(),
        **{f"api/{name}": page for name, page in api_pages().items()},
    }
    folder = Path(app.srcdir) / "reference"
    for old in folder.rglob("*.*"):
        if old.is_file() and old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
