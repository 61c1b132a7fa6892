"""Markdown (GitHub's flavour): escaping and tables."""

import re
from collections.abc import Sequence

from sodbench.quoting import markdown_text, printable, printable_lines
from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph, Picture
from sodbench.reports.tables import Cell, Row, Table

MARKER = "<!-- written by sodbench report: changes made here are lost when it is run again -->"

WIDEST = 150
"""Characters beyond which a table is split by data set, so that it can be read without scrolling far."""

_RAISED = str.maketrans("abcdefghij0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲ⁰¹²³⁴⁵⁶⁷⁸⁹")


def code_span(text: object) -> str:
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


def format_table(of: Table) -> str:
    """One GitHub table (several where it is too wide), with its notes below."""
    blocks = [markdown_text(", ".join(of.annotated_groups) + ":")] if of.annotated_groups else []
    for part in of.split(WIDEST):
        headers = [markdown_text(part.index_name)] + [
            markdown_text(c.flat_heading) for c in part.columns
        ]
        body = [[_label(row), *(_cell(cell) for cell in row.cells)] for row in part.rows]
        right = [False, *(c.kind == "number" for c in part.columns)]
        blocks.append(_align(headers, body, right))
    marks = ["Best in **bold**, second in *italics*, as printed."] * any(
        cell.place for row in of.rows for cell in row.cells
    )
    return "\n\n".join([*blocks, *marks, *(markdown_text(note) for note in of.notes)])


def _align(headers: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """The lines of a GitHub table, its columns padded to one width."""
    # not by tabulate, whose padding of wide characters depends on whether wcwidth is installed
    widths = [
        max(len(header) + 2, *(len(row[i]) for row in body)) for i, header in enumerate(headers)
    ]
    lines = ["|".join(["", *("-" * (width + 2) for width in widths), ""])]
    for row in (headers, *body):
        cells = zip(row, widths, right, strict=True)
        padded = [text.rjust(n) if is_right else text.ljust(n) for text, n, is_right in cells]
        lines.append(f"| {' | '.join(padded)} |")
    lines[:2] = reversed(lines[:2])
    return "\n".join(lines)


def _label(row: Row) -> str:
    return _emphasis(markdown_text(row.label), row.published) + row.letter.translate(_RAISED)


def _emphasis(text: str, on: bool) -> str:
    return f"*{text}*" if on else text


def _cell(cell: Cell) -> str:
    """Best in bold, second in italics; third is not marked in Markdown."""
    text = markdown_text(cell.text)
    text = {1: f"**{text}**", 2: f"*{text}*"}.get(cell.place, text)
    wins = markdown_text(cell.wins) if cell.wins == "*" else cell.wins.translate(_RAISED)
    return text + wins + (f" [{markdown_text(cell.mark)}]" if cell.mark else "")


def format_document(of: Document, figures: str, record: str = "") -> str:
    """The whole report; ``figures`` is the path from the file to the figures' folder, ``record`` a comment below the first line."""
    lines = ["\n".join(filter(None, [MARKER, record])), f"# {markdown_text(of.title)}"]
    for section in of.sections:
        lines.append(f"## {markdown_text(section.title)}")
        lines += [_block(block, figures) for block in section.blocks]
    return "\n\n".join(lines) + "\n"


def _block(block: Block, figures: str) -> str:
    match block:
        case Table():
            return f"**{markdown_text(block.title)}**\n\n{format_table(block)}"
        case Paragraph(text, notice):
            return ("> " if notice else "") + markdown_text(text)
        case Bullets(lines, fixed):
            return "\n".join(
                f"- {code_span(line) if fixed else markdown_text(line)}" for line in lines
            )
        case Code(text, language):
            return f"```{language}\n{printable_lines(text.rstrip()).replace('```', '` ` `')}\n```"
        case Picture(name, caption):
            path = f"{link(figures)}/{link(name)}"
            files = " · ".join(f"[{kind.upper()}]({path}.{kind})" for kind in ("svg", "pdf"))
            return f"![{markdown_text(re.split('[:;.,]', caption)[0])}]({path}.png)\n\n{markdown_text(caption)} ({files})"
