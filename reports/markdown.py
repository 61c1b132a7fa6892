"""Reports and their tables in Markdown (GitHub's flavour)."""

import re
from urllib.parse import quote

from sodbench.quoting import markdown_text, printable, printable_lines
from sodbench.reports.document import Alerts, Block, Bullets, Code, Document, Figure, Paragraph
from sodbench.reports.tables import Cell, Row, Table
from sodbench.reports.text import align_markdown

REPORT_MARKER = (
    "<!-- written by sodbench report: changes made here are lost when it is run again -->"
)
# wider tables are split by dataset, so that they can be read without scrolling far
MAX_MARKDOWN_WIDTH = 150

_SUPERSCRIPTS = str.maketrans("abcdefghij0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_document(document: Document, figures: str) -> str:
    """Return a whole report.

    Parameters
    ----------
    document : Document
    figures : str
        Path from the file to the folder of figures.

    Returns
    -------
    str
    """
    parts = [REPORT_MARKER, f"# {markdown_text(document.title)}"]
    for section in document.sections:
        parts.append(f"## {markdown_text(section.title)}")
        parts += [_format_block(block, figures) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _format_block(block: Block, figures: str) -> str:
    match block:
        case Table():
            return f"**{markdown_text(block.title)}**\n\n{format_table(block)}"
        case Paragraph(text, notice):
            return ("> " if notice else "") + markdown_text(text)
        case Bullets(lines, is_code):
            quoted = [code_span(line) if is_code else markdown_text(line) for line in lines]
            return "\n".join(f"- {line}" for line in quoted)
        case Alerts(alerts):
            return "\n".join(f"- {markdown_text(alert.line)}" for alert in alerts)
        case Code(text, language):
            return f"```{language}\n{printable_lines(text.rstrip()).replace('```', '` ` `')}\n```"
        case Figure(key, caption):
            path = quote(f"{figures}/{key}", safe="/-_.~")
            alternative = markdown_text(re.split(r"[:;.,](?:\s|$)", caption)[0])
            files = " · ".join(f"[{kind.upper()}]({path}.{kind})" for kind in ("svg", "pdf"))
            return f"![{alternative}]({path}.png)\n\n{markdown_text(caption)} ({files})"


def code_span(text: object) -> str:
    """Return any text as a code span (not for table cells, which a pipe would end).

    Returns
    -------
    str
    """
    plain = printable(" ".join(str(text).split()))
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def format_table(table: Table) -> str:
    """Return a table (several if it is too wide) with its notes below it.

    Returns
    -------
    str
        Best in bold, second in italics; third is not marked in Markdown.
    """
    parts = []
    if table.annotated_groups:
        parts.append(markdown_text(", ".join(table.annotated_groups) + ":"))
    for part in table.split(MAX_MARKDOWN_WIDTH):
        headings = [part.index_name, *(c.flat_heading for c in part.columns)]
        lines = [[markdown_text(heading) for heading in headings]]
        lines += [[_markdown_label(row), *map(_markdown_cell, row.cells)] for row in part.rows]
        letters = "l" + "".join("r" if c.kind == "number" else "l" for c in part.columns)
        parts.append(align_markdown(lines, letters))
    if table.has_places:
        parts.append("Best in **bold**, second in *italics*, as printed.")
    return "\n\n".join([*parts, *map(markdown_text, table.notes)])


def _markdown_label(row: Row) -> str:
    text = markdown_text(row.label)
    return (f"*{text}*" if row.published else text) + row.letter.translate(_SUPERSCRIPTS)


def _markdown_cell(cell: Cell) -> str:
    text = markdown_text(cell.text)
    text = {1: f"**{text}**", 2: f"*{text}*"}.get(cell.place, text)
    wins = markdown_text(cell.wins) if cell.wins == "*" else cell.wins.translate(_SUPERSCRIPTS)
    return text + wins + (f" [{markdown_text(cell.mark)}]" if cell.mark else "")
