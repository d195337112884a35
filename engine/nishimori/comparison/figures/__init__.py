"""Figures: measured points with bars over lines of theory. The only modules that import matplotlib."""

from nishimori.comparison.figures.curves import curves_figure, plane_figure
from nishimori.comparison.figures.names import label_text, shared_title
from nishimori.comparison.figures.overlay import overlay_figure
from nishimori.comparison.figures.sizes import approach_figure, extrapolation_figure

__all__ = [
    "approach_figure",
    "curves_figure",
    "extrapolation_figure",
    "label_text",
    "overlay_figure",
    "plane_figure",
    "shared_title",
]
