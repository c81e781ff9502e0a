"""matplotlib's SVG made fit to stand in a page: its colours follow the page, its ids are unique."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from streamnet_plugin.report.figures import GRID, INK, MUTED, PALETTE, SURFACE, Picture

WIDE_PT = 300
"""A figure wider than this takes more than one column of a page."""
VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", SURFACE: "--surface",
    **{colour: f"--c{i}" for i, colour in enumerate(PALETTE)},
}  # fmt: skip
_FAMILY = re.compile(r"font-family: [^;\"]*;? ?")
_DROPPED = re.compile(
    r"<metadata>.*?</metadata>|<title>.*?</title>|<style.*?</style>|<!--.*?-->", re.DOTALL
)
"""What a page has of its own."""


def width_pt(svg: str) -> float:
    """Of a figure as matplotlib wrote it."""
    found = re.search(r'<svg[^>]*?\swidth="([\d.]+)pt"', svg)
    return float(found.group(1)) if found else 0.0


def inline(picture: Picture, name: str) -> Markup:
    """An `<svg>` with a text alternative.

    Args:
        picture: as matplotlib drew it, its text as text.
        name: no other figure of the page has.
    """
    body = picture.svg[picture.svg.index("<svg") :]
    body = _DROPPED.sub("", body)
    body = re.sub(r'\bid="([^"]*)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body)
    body = re.sub(r'style="[^"]*"', lambda found: _themed(found.group()), body)
    box = re.search(r'viewBox="[^"]*"', body)
    opening = f'<svg {box.group() if box else ""} role="img" aria-label="{escape(picture.alt)}">'
    return Markup(re.sub(r"<svg[^>]*>", lambda _: opening, body, count=1))


def _themed(style: str) -> str:
    """A style attribute with the page's variables for our colours, without a font."""
    style = re.sub(
        r"#[0-9a-f]{6}\b",
        lambda found: f"var({VARIABLES[found.group()]})" if found.group() in VARIABLES
        else found.group(),
        style,
    )  # fmt: skip
    return _FAMILY.sub("", style)
