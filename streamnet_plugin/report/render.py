"""A `Grid` as Markdown, HTML or plain text, its text escaped; as LaTeX: see `latex`."""

from __future__ import annotations

import html as escaping
import math
from collections.abc import Sequence

from streamnet_plugin.report.cells import Cell, Grid, Mark

REPORTED = "Reported, not measured"


def one_line(text: str) -> str:
    """Without line ends and other control characters, which no table cell can hold."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escape_markdown(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def markdown(grid: Grid) -> str:
    """A GitHub table, best in bold, second in italics; such a table has no rule within."""
    marks: dict[Mark, str] = {"": "{}", "best": "**{}**", "second": "*{}*"}

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def row(cells: Sequence[Cell]) -> str:
        return line([marks[c.mark].format(escape_markdown(c.text)) for c in cells])

    n_numbers = len(grid.columns) - grid.n_text
    lines = [line([escape_markdown(c) for c in grid.columns])]
    lines.append(line(["---"] * grid.n_text + ["---:"] * n_numbers))
    lines += [row(cells) for cells in grid.rows]
    if grid.reported:
        lines.append(line([f"*{REPORTED}:*", *[""] * (len(grid.columns) - 1)]))
        lines += [row(cells) for cells in grid.reported]
    return "\n".join(lines)


def html(grid: Grid) -> str:
    """A table element and its notes; cells carry the number they sort by as `data-value`."""
    marks: dict[Mark, str] = {"": "%s", "best": "<strong>%s</strong>", "second": "<u>%s</u>"}

    def cell(c: Cell, column: int) -> str:
        text = marks[c.mark] % escaping.escape(one_line(c.text))
        if column == 0:
            return f'<th scope="row">{text}</th>'
        known = c.value is not None and math.isfinite(c.value)
        sort = f' data-value="{c.value:.10g}"' if known else ""
        kind = "text" if column < grid.n_text else "number"
        return f'<td class="{kind}"{sort}>{text}</td>'

    def body(rows: Sequence[Sequence[Cell]]) -> list[str]:
        return [f"<tr>{''.join(cell(c, i) for i, c in enumerate(cells))}</tr>" for cells in rows]

    heads = "".join(f'<th scope="col">{escaping.escape(one_line(c))}</th>' for c in grid.columns)
    reported = []
    if grid.reported:
        title = f'<tr><th colspan="{len(grid.columns)}" scope="rowgroup">{REPORTED}</th></tr>'
        reported = ['<tbody class="reported">', title, *body(grid.reported), "</tbody>"]
    notes = [f"<li>{escaping.escape(one_line(note))}</li>" for note in grid.notes]
    return "\n".join(
        [
            f'<table class="results {grid.name}">',
            f"<caption>{escaping.escape(one_line(grid.caption))}</caption>",
            f"<thead><tr>{heads}</tr></thead>",
            "<tbody>",
            *body(grid.rows),
            "</tbody>",
            *reported,
            "</table>",
            *(['<ul class="notes">', *notes, "</ul>"] if notes else []),
            "",
        ]
    )


def text(grid: Grid) -> str:
    """Columns aligned by spaces, for a terminal."""
    lines = [list(grid.columns)] + [[one_line(c.text) for c in row] for row in grid.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(grid.columns))]
    aligned = [
        "  ".join(
            word.ljust(width) if i < grid.n_text else word.rjust(width)
            for i, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    aligned.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(aligned)
