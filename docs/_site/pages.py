"""Texts that live elsewhere in the repository as pages of the site, and links that are right in both places."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from markdown import Extension, Markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "index.md",
    "config/README.md": "configuration.md",
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""File of the repository -> page of the site."""
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)#\s]+)((?:#[^)\s]*)?\))")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def repository(config: MkDocsConfig) -> Path:
    """The folder of mkdocs.yml."""
    return Path(config.config_file_path).parent


def source_of(page: str) -> str:
    """The file of the repository that a page is made of."""
    return next((source for source, made in PAGES.items() if made == page), f"docs/{page}")


def target_of(link: str, source: str) -> str:
    """What a link in `source` points at, as a path in the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def place_of(target: str) -> str:
    """Where a file of the repository lies in the site: pages are pages, all else is copied."""
    if target in PAGES:
        return PAGES[target]
    return target.removeprefix("docs/") if target.startswith("docs/") else f"files/{target}"


def prose(text: str) -> Iterator[tuple[bool, str]]:
    """The text in pieces, and whether each is prose (not code)."""
    for index, piece in enumerate(_FENCE.split(text)):
        yield index % 2 == 0, piece


def relinked(text: str, page: str) -> str:
    """The text of a page with links as the site has them."""
    source, here = source_of(page), posixpath.dirname(page)

    def replace(link: re.Match[str]) -> str:
        place = place_of(target_of(link[2], source))
        return link[1] + posixpath.relpath(place, here or ".") + link[3]

    return "".join(_LINK.sub(replace, piece) if plain else piece for plain, piece in prose(text))


class NoTags(Extension):
    """Text in angle brackets is text: `results/<name>/` in a docstring names no element."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Take the rules for raw HTML out."""
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have all pages read without raw HTML."""
    config.markdown_extensions.append(NoTags())  # type: ignore[arg-type]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that live elsewhere, and what any page links to outside of docs/."""
    root = repository(config)
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(root / source).read_text()))
    for file in list(files.documentation_pages()):
        source = source_of(file.src_uri)
        for plain, piece in prose(file.content_string):
            for link in _LINK.finditer(piece) if plain else ():
                target = target_of(link[2], source)
                place = place_of(target)
                if place.startswith("files/") and (root / target).is_file() and place not in files.src_uris:
                    files.append(File.generated(config, place, abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that are right in the repository into those of the site."""
    return relinked(markdown, page.file.src_uri)
