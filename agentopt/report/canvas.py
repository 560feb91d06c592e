"""What all drawn figures share: how they are made, dressed and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentopt.report.foreign import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = "#DDDDDD"
MUTED = "#666666"
_DPI = 150
"""The pixels of an inch in a PNG."""
_LEGEND = 200
"""The characters of a legend's entry: names that differ must not be cut to the same."""
_METADATA: Mapping[str, Mapping[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
"""What is not written into figures, so that the same run gives the same files."""


@contextmanager
def style() -> Iterator[None]:
    """Makes figures that are written meanwhile the same every time."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "agentopt"}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of so many inches that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def words(value: object, longest: int = 60) -> str:
    """Returns a text as figures show it: on one line, not too long, all of it visible, and never read as a formula."""
    plain = visible(" ".join(str(value).encode("utf-8", "replace").decode().split()))
    short = plain if len(plain) <= longest else f"{plain[: longest - 3]}..."
    return short.replace("$", "\\$")


def dress(axes: Any, x: str, y: str, title: str = "") -> None:
    """Gives axes their titles and the grid."""
    axes.set_xlabel(words(x))
    axes.set_ylabel(words(y))
    axes.set_title(words(title), fontsize=10)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def legend(figure: Figure, axes: Sequence[Any]) -> None:
    """Puts one legend of everything that the axes name to the right of them."""
    found: dict[str, Any] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    if found:
        names = [words(name, _LEGEND) for name in found]
        figure.legend(found.values(), names, loc="outside right upper", fontsize=8, frameon=False)


def write_figure(figure: Figure, folder: Path, name: str, kinds: Sequence[str] = tuple(_METADATA)) -> list[Path]:
    """Writes a figure as PNG and SVG into a folder, and returns the files."""
    figure.set_dpi(_DPI)
    engine = figure.get_layout_engine()
    if engine is not None:  # laid out once, here: before each file the library would draw all of it to lay it out
        engine.execute(figure)
        figure.set_layout_engine(None)
    paths = []
    for kind in kinds:
        path = folder / f"{name}.{kind}"
        figure.savefig(path, dpi=_DPI, metadata=_METADATA[kind])
        paths.append(path)
    return paths
