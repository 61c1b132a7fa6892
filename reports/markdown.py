"""Markdown (GitHub's flavour): escaping and tables."""

import re

from sodbench.quoting import markdown_text, printable, printable_lines
from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph, Picture
from sodbench.reports.tables import Cell, Row, Table

MARKER = "<!-- written by sodbench report: changes made here are lost when it is run again -->"

WIDEST = 150
"""Characters beyond which a table is split by data set, so that it can be read without scrolling far."""

escape = markdown_text
_RAISED = str.maketrans("abcdefghij0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ⁰¹²³⁴⁵⁶⁷⁸⁹")


def code(text: object) -> str:
    """A code span around any text (not for table cells: a pipe would end the cell)."""
    plain = printable(" ".join(str(text).split()))
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def link(path: str) -> str:
    """A relative path as the target of a link or picture."""
    from urllib.parse import quote

    return quote(path, safe="/-_.~")


def table(of: Table) -> str:
    """One GitHub table (several where it is too wide), with its notes below."""
    from tabulate import tabulate

    blocks = [escape(", ".join(of.remarked) + ":")] if of.remarked else []
    for part in of.split(WIDEST):
        headers = [escape(part.corner)] + [escape(c.flat) for c in part.columns]
        align = ["left"] + ["right" if c.kind == "number" else "left" for c in part.columns]
        body = [[_label(row), *(_cell(cell) for cell in row.cells)] for row in part.rows]
        blocks.append(
            tabulate(body, headers, tablefmt="github", colalign=align, disable_numparse=True)
        )
    marks = ["Best in **bold**, second in *italics*, as printed."] * any(
        cell.place for row in of.rows for cell in row.cells
    )
    return "\n\n".join([*blocks, *marks, *(escape(note) for note in of.notes)])


def _label(row: Row) -> str:
    return _emphasis(escape(row.label), row.published) + row.letter.translate(_RAISED)


def _emphasis(text: str, on: bool) -> str:
    return f"*{text}*" if on else text


def _cell(cell: Cell) -> str:
    """Best in bold, second in italics; third is not marked in Markdown."""
    text = escape(cell.text)
    text = {1: f"**{text}**", 2: f"*{text}*"}.get(cell.place, text)
    wins = escape(cell.wins) if cell.wins == "*" else cell.wins.translate(_RAISED)
    return text + wins + (f" [{escape(cell.mark)}]" if cell.mark else "")


def document(of: Document, figures: str, record: str = "") -> str:
    """The whole report; ``figures`` is the path from the file to the figures' folder, ``record`` a comment below the first line."""
    lines = ["\n".join(filter(None, [MARKER, record])), f"# {escape(of.title)}"]
    for section in of.sections:
        lines.append(f"## {escape(section.title)}")
        lines += [_block(block, figures) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


def _block(block: Block, figures: str) -> str:
    match block:
        case Table():
            return f"**{escape(block.title)}**\n\n{table(block)}"
        case Paragraph(text, notice):
            return ("> " if notice else "") + escape(text)
        case Bullets(lines, fixed):
            return "\n".join(f"- {code(line) if fixed else escape(line)}" for line in lines)
        case Code(text, language):
            return f"```{language}\n{printable_lines(text.rstrip()).replace('```', '` ` `')}\n```"
        case Picture(name, caption):
            path = f"{link(figures)}/{link(name)}"
            files = " · ".join(f"[{kind.upper()}]({path}.{kind})" for kind in ("svg", "pdf"))
            return f"![{escape(re.split('[:;.,]', caption)[0])}]({path}.png)\n\n{escape(caption)} ({files})"
