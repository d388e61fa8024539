"""Pages and cards from templates; a page is one HTML file that needs no network and no other file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment

    from hybridbatch.report.figures.card import FigureCard

_TEMPLATES = Path(__file__).parent / "templates"


def templates(*, autoescape: bool) -> Environment:
    """Return the templates; a name that a template uses and nobody gives is an error.

    Args:
        autoescape: Whether signs that mean something in HTML are escaped in whatever is put into them.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_page(template: str, cards: Iterable[FigureCard], **content: Any) -> str:
    """Return a page as HTML; whatever is put into the template is escaped.

    Args:
        template: Name of a template that extends ``page.html.jinja``.
        cards: The figures; the template says by their places where each stands.
        content: What else the template shows.
    """
    from plotly.offline import get_plotlyjs

    figures = [json.loads(card.figure.to_json()) if card.figure is not None else None for card in cards]
    page = templates(autoescape=True).get_template(template)
    return page.render(plotly_js=get_plotlyjs(), figures_json=_for_script(figures), **content)


def _for_script(value: Any) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
