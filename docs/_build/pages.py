"""MkDocs hook: pages that are made when the documentation is built.

The model card, the changes and how to contribute are files elsewhere in the repository, so that they
are read there too; the table of keywords and flags comes from the option groups.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from atari_vlm.cli.flags import flag_of
from atari_vlm.options import abouts
from atari_vlm.players import Options

ROOT = Path(__file__).resolve().parent.parent.parent
COPIES = {
    "model-card.md": "src/atari_vlm/weights/embedded/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
SHIM = "https://unpkg.com/iframe-worker/shim"
LINK = re.compile(r"\]\(([^):#]+)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for page, source in COPIES.items():
        text = FRONT_MATTER.sub("", (ROOT / source).read_text(encoding="utf-8"))
        moved = LINK.sub(lambda link, source=source: _moved(link, ROOT / source), text)
        files.append(File.generated(config, page, content=moved))
    files.append(File.generated(config, "options.md", content=options_page()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links that leave docs/ to the pages made of those files."""
    for name, source in COPIES.items():
        up = "../" * (page.file.src_uri.count("/") + 1)
        here = "../" * page.file.src_uri.count("/")
        markdown = markdown.replace(f"]({up}{source}", f"]({here}{name}")
    return markdown


def _moved(link: re.Match[str], source: Path) -> str:
    """A link of a copied file, as seen from docs/."""
    target = (source.parent / link[1]).resolve().relative_to(ROOT).as_posix()
    pages = {source: page for page, source in COPIES.items()}
    return f"]({pages.get(target, target.removeprefix('docs/'))}{link[2] or ''})"


def options_page() -> str:
    """Every keyword of `play` and `VLMTrainer`, with its flag and default."""
    lines = [
        "# Keywords and flags",
        "",
        "`play`, `VLMTrainer` and `BenchSettings` take these as keywords; `atari-vlm play` as flags, and",
        "the other commands those that apply to them (`atari-vlm COMMAND --help`). This page is made from",
        "the option groups that both are made from.",
        "",
    ]
    groups = [base for base in Options.__mro__[1:] if is_dataclass(base)]
    seen: set[str] = set()
    for group in groups:
        own = {name: about for name, about in abouts(group).items() if name not in seen}
        if not own:
            continue
        seen |= own.keys()
        title = (group.__doc__ or "").partition(".\n")[0].partition(";")[0].strip().rstrip(".")
        lines += [f"## {title}", "", "| keyword | flag | default | meaning |", "|---|---|---|---|"]
        defaults = {field.name: field.default for field in fields(group)}
        for name, about in own.items():
            flag = f"`{flag_of(name)}`{{.whole}}"
            help = about.help.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{name}`{{.whole}} | {flag} | `{defaults[name]!r}` | {help} |")
        lines.append("")
    return "\n".join(lines)


def on_post_build(config: Any) -> None:
    """Take out the one address that the theme would load: for search in pages opened from disk."""
    for bundle in Path(config.site_dir).rglob("bundle.*.js"):
        script = bundle.read_text(encoding="utf-8")
        bundle.write_text(script.replace(SHIM, "data:text/javascript,"), encoding="utf-8")
