"""What all charts share: colours that follow the page's theme, fonts and margins.

A page is light or dark when it is looked at, not when it is written. Charts therefore name the theme's colours by
placeholders, which the page's script replaces; as colours of their own they are all nearly black. Two blues
of the palette, which are too dark and too pale on a dark page, are replaced there, too.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any

from agentopt.report.palette import BLACK, OKABE_ITO, colour
from agentopt.trial import Origin

INK = "#010203"
"""Text and the lines that matter most."""
MUTED = "#010204"
GRID = "#010205"
PAPER = "#010206"
"""The background."""
CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "scrollZoom": False,
    "showTips": False,
    "displayModeBar": "hover",
    # By name, for some of plotly's own buttons would send the chart to a server.
    "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    "toImageButtonOptions": {"format": "svg"},
}


def text(value: object) -> str:
    """Returns a text that a chart shows as it is: charts read a kind of HTML."""
    return escape(str(value), quote=False)


def origin_style() -> str:
    """Returns the style of the dots that show an origin's colour, as the theme has it."""
    themed = {BLACK: "var(--ink)", "#0072B2": "var(--blue)", "#56B4E9": "var(--sky)"}
    colours = {origin: colour(origin) for origin in Origin}
    return "".join(f".o-{o.value} {{ background: {themed.get(c, c)}; }}\n" for o, c in colours.items())


def chart(traces: list[dict[str, Any]], layout: dict[str, Any], *, height: int = 380) -> Any:
    """Returns a plotly figure of these traces in the house style."""
    import plotly.graph_objects as go

    figure = go.Figure(data=traces, layout=layout)
    figure.update_layout(height=height)
    return figure


def page_json(figure: Any) -> dict[str, Any]:
    """Returns a plotly figure as the page embeds it, styled by the page's theme wherever it says nothing itself."""
    record: dict[str, Any] = json.loads(figure.to_json(engine="json"))  # the faster engine refuses lone surrogates
    layout = record.setdefault("layout", {})
    layout["template"] = {"layout": _STYLE}
    layout.setdefault("uirevision", "kept")
    return {"data": record.get("data", []), "layout": layout}


_AXIS = {
    "gridcolor": GRID,
    "linecolor": GRID,
    "zerolinecolor": GRID,
    "tickcolor": GRID,
    "automargin": True,
    "title": {"standoff": 8},
}
_STYLE: dict[str, Any] = {
    "paper_bgcolor": PAPER,
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": INK, "family": "system-ui, sans-serif", "size": 12},
    "colorway": list(OKABE_ITO),
    "margin": {"l": 50, "r": 12, "t": 12, "b": 44},
    "hovermode": "closest",
    "hoverlabel": {"bgcolor": PAPER, "bordercolor": MUTED, "font": {"color": INK}, "align": "left"},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 11}},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": MUTED, "activecolor": INK},
    "xaxis": _AXIS,
    "yaxis": _AXIS,
}
