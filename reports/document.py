"""A report as a sequence of typed blocks, from which Markdown, LaTeX and HTML are rendered alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sodbench.reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Paragraph:
    """Plain text, printed as it is; a ``notice`` is set off from the rest, as a warning is.

    Attributes
    ----------
    text : str
    notice : bool
    """

    text: str
    notice: bool = False


@dataclass(frozen=True)
class Bullets:
    """Lines of plain text; ``code``: names and signatures, in a fixed-width font.

    Attributes
    ----------
    lines : tuple of str
    code : bool
    """

    lines: tuple[str, ...]
    code: bool = False


@dataclass(frozen=True)
class Code:
    """Text to be copied, such as commands (``language`` is ``sh``) and BibTeX.

    Attributes
    ----------
    text : str
    language : str
    """

    text: str
    language: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure: everything that the rest of a report has to know about it.

    Attributes
    ----------
    key : str
        The stem of its files, unique in a report.
    caption : str
        What it shows; its beginning is also the alternative text.
    draw : callable
        Draws it; called without arguments.
    """

    key: str
    caption: str
    draw: "Callable[[], Drawing]"


@dataclass(frozen=True)
class Alert:
    """Something that qualifies the numbers.

    Attributes
    ----------
    kind : str
        Its type in one or two words.
    count : int
        How often it occurs.
    text : str
        What is counted.
    anchor : str
        The section that lists it.
    """

    kind: str
    count: int
    text: str
    anchor: str

    @property
    def line(self) -> str:
        """The alert as a line of text."""
        return f"{self.kind}: {self.count:,} {self.text}"


@dataclass(frozen=True)
class Alerts:
    """A list of alerts.

    Attributes
    ----------
    alerts : tuple of Alert
    """

    alerts: tuple[Alert, ...]


Block = Paragraph | Bullets | Code | Figure | Table | Alerts
_B = TypeVar("_B", bound=Block)


def block_type(block: Block) -> str:
    """Return the block's type for templates: ``paragraph``, ``bullets``, ``code``, ``figure``, ``table`` or ``alerts``.

    Returns
    -------
    str
    """
    return type(block).__name__.lower()


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it; ``anchor`` names it in links.

    Attributes
    ----------
    title : str
    blocks : tuple of Block
    anchor : str
    """

    title: str
    blocks: tuple[Block, ...]
    anchor: str


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes
    ----------
    title : str
    sections : tuple of Section
    sample : bool
        Whether it reports the built-in sample's numbers.
    """

    title: str
    sections: tuple[Section, ...]
    sample: bool = False

    @property
    def tables(self) -> dict[str, Table]:
        """Every table, by name."""
        return {table.name: table for table in self._blocks(Table)}

    @property
    def figures(self) -> list[Figure]:
        """Every figure, in order."""
        return self._blocks(Figure)

    def _blocks(self, kind: type[_B]) -> list[_B]:
        return [b for section in self.sections for b in section.blocks if isinstance(b, kind)]
