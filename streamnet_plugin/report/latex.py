"""A `Grid` as a LaTeX table that fits its page: text in ASCII alone, which every engine reads."""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from streamnet_plugin.report.cells import DASH, INFINITE, Cell, Grid, Mark
from streamnet_plugin.report.render import REPORTED, one_line

PACKAGES = ("booktabs", "adjustbox")
"""What the preamble of a document with these tables must load."""
LETTERS = 100
"""So many letters stand side by side, the columns beyond them below: in 8 pt they are about 1.25
times as wide as the text of an A4 or letter page of the class article, and shrink by no more."""
GAP = 1.5
"""Space between two columns, letters."""
HEADING = 12
"""Letters in a line of a heading, longer words excepted."""
PAGE = 54.0
"""Height of a page of the class article, in rows of a table (9.5 pt)."""
ROWS, NOTES = 40, 10
"""So many stand in one block, which is on one page."""
SPACE = 2.5
"""Rules and the space below a part, in rows."""
CAPTION_LINE, CAPTION_LETTERS, NOTE_LINE, NOTE_LETTERS = 1.3, 70, 0.9, 100
"""Height of a line in rows, and how many letters stand in it."""

_NEGATIVE = re.compile(rf"(?<![\w.)\]-])-(?=[\d{INFINITE}])")
_MINUS = "\N{MINUS SIGN}"
_DASHES = re.compile("-(?=-)")
_APART = "\0"  # in no text of one line: keeps two hyphens from becoming a dash
_SIGNS = (
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {_APART: "{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"[": "{[}", "]": "{]}", "*": "{*}"}  # which `\\` would take for options of its own
    | {DASH: "---", "–": "--", _MINUS: "$-$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$"}
    | {"≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$", "≠": r"$\neq$", INFINITE: r"$\infty$"}
    | {"→": r"$\to$", "°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "…": r"\ldots{}"}
    | {"‘": "`", "’": "'", "“": "``", "”": "''", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}"}
    | {"ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "µ": r"$\mu$"}
    | {"α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "λ": r"$\lambda$"}
    | {"μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$", "Δ": r"$\Delta$"}
)
_ACCENTS = {
    "\N{COMBINING GRAVE ACCENT}": "`", "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^", "\N{COMBINING TILDE}": "~",
    "\N{COMBINING MACRON}": "=", "\N{COMBINING BREVE}": "u", "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING DIAERESIS}": '"', "\N{COMBINING RING ABOVE}": "r",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H", "\N{COMBINING CARON}": "v",
    "\N{COMBINING CEDILLA}": "c",
}  # fmt: skip


def escape_latex(text: str, *, name: bool = False) -> str:
    """`text` as LaTeX prints it; a hyphen before a number is a minus, but not in a name.

    A letter that LaTeX's own fonts lack is written as its code point, e.g. U+4E2D.
    """
    text = one_line(text)
    if not name:
        text = _NEGATIVE.sub(_MINUS, text)
    return "".join(map(_sign, _DASHES.sub(f"-{_APART}", text)))


def _sign(c: str) -> str:
    if c in _SIGNS:
        return _SIGNS[c]
    if c.isascii():
        return c
    letter, *accents = list(unicodedata.normalize("NFD", c))
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii() and letter.isalpha():
        return f"\\{_ACCENTS[accents[0]]}{{{letter}}}"
    return f"U+{ord(c):04X}"


def document(grids: Sequence[Grid]) -> str:
    """The tables, to be read by `\\input`; a comment says what they need."""
    needed = "".join(rf"\usepackage{{{package}}}" for package in PACKAGES)
    return "\n".join([f"% needs {needed}", "", *map(latex, grids)])


def latex(grid: Grid) -> str:
    """A floating table, as wide as the text at most: best in bold, second underlined, notes below.

    Columns that do not fit beside each other stand below each other, every part with the names of
    the rows; what is too high for a page goes on in another float of the same number.
    """
    pages: list[list[str]] = [[]]
    used = CAPTION_LINE * _n_lines(grid.caption, CAPTION_LETTERS)
    for height, lines in _blocks(grid):
        if pages[-1] and used + height > PAGE:
            pages.append([])
            used = CAPTION_LINE
        pages[-1] += lines
        used += height
    label = rf"\label{{tab:streamnet-{grid.name}}}"
    captions = [[rf"\caption{{{escape_latex(grid.caption)}}}", label]]
    captions += [[r"\addtocounter{table}{-1}", r"\caption{(continued)}"]] * (len(pages) - 1)
    return "\n".join(
        line
        for caption, body in zip(captions, pages, strict=True)
        for line in (
            r"\begin{table*}",
            r"\centering\footnotesize",
            r"\setlength{\tabcolsep}{3pt}",
            *caption,
            *body,
            r"\end{table*}",
            "",
        )
    )


def _blocks(grid: Grid) -> Iterator[tuple[float, list[str]]]:
    """What must not be torn apart, with its height in rows: parts of the table, then the notes."""
    for columns in _parts(grid):
        heading = max((len(_heading(grid.columns[i])) for i in columns), default=1)
        for start in range(0, max(1, len(grid.rows)), ROWS):
            rows = grid.rows[start : start + ROWS]
            reported = () if start + ROWS < len(grid.rows) else _reported(grid, columns)
            height = len(rows) + len(reported) + heading + SPACE
            yield height, _part(grid, columns, rows, reported)
    for start in range(0, len(grid.notes), NOTES):
        notes = grid.notes[start : start + NOTES]
        lines = [rf"{escape_latex(note)}\par" for note in notes]
        yield (
            NOTE_LINE * sum(_n_lines(note, NOTE_LETTERS) for note in notes),
            [r"\begin{minipage}{\linewidth}\scriptsize\raggedright", *lines, r"\end{minipage}"],
        )


def _n_lines(text: str, letters: int) -> int:
    return math.ceil(len(text) / letters)


def _parts(grid: Grid) -> list[list[int]]:
    """The columns that stand beside each other, by number; the first is in every part."""
    cells = list(zip(*grid.rows, *grid.reported, strict=False)) or [()] * len(grid.columns)
    widths = [
        GAP + max(map(len, [*_heading(name), *(c.text for c in column)]), default=0)
        for name, column in zip(grid.columns, cells, strict=True)
    ]
    head = [0] if grid.n_text else []
    parts = [list(range(grid.n_text))]
    for i in range(grid.n_text, len(grid.columns)):
        if sum(widths[k] for k in (*parts[-1], i)) > LETTERS and len(parts[-1]) > len(head):
            parts.append(list(head))
        parts[-1].append(i)
    return parts


def _reported(grid: Grid, columns: Sequence[int]) -> Sequence[Sequence[Cell]]:
    """The published rows, where they have a number in these columns."""
    numbers = [i for i in columns if i >= grid.n_text]
    known = any(row[i].value is not None for row in grid.reported for i in numbers)
    return grid.reported if known else ()


def _part(
    grid: Grid,
    columns: Sequence[int],
    rows: Sequence[Sequence[Cell]],
    reported: Sequence[Sequence[Cell]],
) -> list[str]:
    """A booktabs table of these columns and rows."""
    align = "".join("l" if i < grid.n_text else "r" for i in columns)
    published = []
    if reported:
        title = rf"\multicolumn{{{len(columns)}}}{{l}}{{\emph{{{REPORTED}}}}} \\"
        published = [r"\midrule", title, *(_row(grid, row, columns) for row in reported)]
    return [
        r"\begin{adjustbox}{max width=\linewidth}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        " & ".join(_stacked(grid.columns[i], align[k]) for k, i in enumerate(columns)) + r" \\",
        r"\midrule",
        *(_row(grid, row, columns) for row in rows),
        *published,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}\par\medskip",
    ]


def _row(grid: Grid, row: Sequence[Cell], columns: Sequence[int]) -> str:
    marks: dict[Mark, str] = {"": "%s", "best": r"\textbf{%s}", "second": r"\underline{%s}"}
    cells = [marks[row[i].mark] % escape_latex(row[i].text, name=i < grid.n_text) for i in columns]
    return " & ".join(cells) + r" \\"


def _heading(name: str) -> list[str]:
    return textwrap.wrap(one_line(name), HEADING, break_long_words=False, break_on_hyphens=False)


def _stacked(name: str, align: str) -> str:
    """A heading on several lines, the last of which stands on the row's."""
    lines = [escape_latex(line) for line in _heading(name)]
    if len(lines) < 2:
        return "".join(lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{align}@{{}}}}" + r"\\".join(lines) + r"\end{tabular}"
