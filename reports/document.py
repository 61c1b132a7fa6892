"""A report as a sequence of blocks, so that Markdown, LaTeX and HTML say the same thing."""

from dataclasses import dataclass

from sodbench.reports.tables import Table


@dataclass(frozen=True)
class Paragraph:
    """Plain text, to appear as it is.  ``notice``: to be set off, as a warning is."""

    text: str
    notice: bool = False


@dataclass(frozen=True)
class Bullets:
    """Lines of plain text; ``code``: names and signatures, to be set in a fixed-width font."""

    lines: tuple[str, ...]
    code: bool = False


@dataclass(frozen=True)
class Code:
    """Text to be copied: commands, BibTeX."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Picture:
    """A figure: the stem of its files in the figures folder, and what it shows (also the alternative text)."""

    name: str
    caption: str


Block = Paragraph | Bullets | Code | Picture | Table


def block_type(block: Block) -> str:
    """The block's kind in lower case, for templates: ``paragraph``, ``bullets``, ``code``, ``picture`` or ``table``."""
    return type(block).__name__.lower()


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.  ``anchor`` names it in links and file names."""

    title: str
    blocks: tuple[Block, ...]
    anchor: str


@dataclass(frozen=True)
class Document:
    """The whole report."""

    title: str
    sections: tuple[Section, ...]
    sample: bool = False

    @property
    def tables(self) -> dict[str, Table]:
        """Every table, by name."""
        return {b.name: b for s in self.sections for b in s.blocks if isinstance(b, Table)}
