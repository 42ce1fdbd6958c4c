"""What a page is made of: sections of blocks, and the words that stand where a figure cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from genocontrast.report.embedding_map import Map
from genocontrast.report.svg import Panel

Kind = Literal["prose", "panels", "tables", "code", "folded", "bullets", "numbered", "logos", "map", "errors", "files"]


@dataclass(frozen=True)
class Gap:
    """A figure that cannot be drawn: its title, and why not."""

    title: str
    reason: str


@dataclass(frozen=True)
class Block:
    """A part of a section; `kind` says how the template sets `content`."""

    kind: Kind
    content: Any
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the page with its anchor."""

    anchor: str
    title: str
    blocks: list[Block]

    @property
    def panels(self) -> list[Panel]:
        """The figures of the section."""
        drawn = [block.content for block in self.blocks if block.kind == "panels"]
        drawn += [block.content[1] for block in self.blocks if block.kind == "map"]
        drawn += [[card.panel for card in block.content] for block in self.blocks if block.kind == "errors"]
        return [panel for panels in drawn for panel in panels if isinstance(panel, Panel)]

    @property
    def maps(self) -> list[Map]:
        """The interactive maps of the section."""
        return [block.content[0] for block in self.blocks if block.kind == "map"]


def drawn(title: str, reason: str | None, make: Callable[[], Any]) -> Any:
    """What `make` draws, or the reason why it cannot be drawn: never a blank figure."""
    return Gap(title, reason) if reason else make()
