"""What figures of reports share: colours, axes, a legend, and bytes that are always the same."""

import warnings
from io import BytesIO
from typing import Final, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Okabe and Ito: told apart by colour-blind readers, too.
COLOURS: Final = ("#D55E00", "#E69F00", "#0072B2", "#CC79A7", "#009E73", "#56B4E9", "#000000")
#: One after the other, so that lines on top of each other all show.
DASHES: Final = ("-", "-", "-", ":", (0, (4, 2)))
MARKERS: Final = "osD^v"
#: Width and height of a figure across the page [inches].
WIDTH, HEIGHT = 7.2, 3.2


class Picture(NamedTuple):
    """One figure with the words that go with it."""

    title: str
    caption: str
    svg: bytes


def new_axes(height: float = HEIGHT, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Give a figure with one pair of plain axes; sizes in inches."""
    figure = new_figure(height, width)
    axes = figure.add_subplot()
    plain(axes)
    return figure, axes


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> Figure:
    """Give an empty figure that makes room for its labels; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(axes: Axes) -> None:
    """Give axes a light grid and no frame."""
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(axes: Axes, columns: int = 7) -> None:
    """Put the names above the axes, where they hide nothing."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, borderaxespad=0.2
    )


def svg(figure: Figure) -> bytes:
    """Draw; text stays text, so that the reader's fonts show names in any script."""
    file = BytesIO()
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"svg.hashsalt": "tieline", "svg.fonttype": "none", "font.size": 9.5}),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
