"""Plots as SVG, which a reader of the repository sees without a tool."""

from collections.abc import Mapping, Sequence
from typing import Final

COLOR: Final = "#2563eb"
LIMIT_COLOR: Final = "#b91c1c"
GRID: Final = "#ddd"
_WIDTH, _HEIGHT, _EDGE = 640, 420, 60
Point = tuple[float, float]


class Frame:
    """A frame from the lowest to the highest value of two axes, filled from back to front."""

    def __init__(self, x: Point, y: Point) -> None:
        self._x = x
        self._y = y
        self._parts: list[str] = []

    def line(self, one: Point, other: Point, color: str, *, dashed: bool = False) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = self._place(one), self._place(other)
        dash = ' stroke-dasharray="6 4"' if dashed else ""
        self._parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{color}"{dash}/>'
        )

    def dot(self, at: Point) -> None:
        """Draw a measured value."""
        x, y = self._place(at)
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLOR}"/>')

    def bar(self, x: float, height: float, *, width: float, color: str) -> None:
        """Draw a bar around `x`, from the lowest value up."""
        left, top = self._place((x - width / 2, height))
        right, bottom = self._place((x + width / 2, self._y[0]))
        self._parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{bottom - top:.1f}" fill="{color}" fill-opacity="0.25"/>'
        )

    def label_below(self, x: float, text: str) -> None:
        """Name a value of the horizontal axis."""
        at, low = self._place((x, self._y[0]))
        self._text(at, low + 18, text, "middle")

    def label_beside(self, y: float, text: str) -> None:
        """Name a value of the vertical axis."""
        left, at = self._place((self._x[0], y))
        self._text(left - 6, at + 4, text, "end")

    def label_at(self, at: Point, text: str, color: str) -> None:
        """Name what ends at a place, above it."""
        x, y = self._place(at)
        self._text(x, y - 8, text, "end", color)

    def svg(self, title: str) -> str:
        """Return the whole."""
        self._parts.append(f'<text x="{_EDGE}" y="{_EDGE / 2}" font-size="15">{title}</text>')
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="sans-serif" font-size="12">\n'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )

    def _place(self, point: Point) -> Point:
        (left, right), (low, high) = self._x, self._y
        return (
            _EDGE + (point[0] - left) / (right - left) * (_WIDTH - 2 * _EDGE),
            _HEIGHT - _EDGE - (point[1] - low) / (high - low) * (_HEIGHT - 2 * _EDGE),
        )

    def _text(self, x: float, y: float, text: str, anchor: str, color: str = "#000") -> None:
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{text}</text>'
        )


def draw_rates(title: str, rates: Mapping[str, Sequence[float]], *, line: tuple[str, float]) -> str:
    """Return bars of medians, every round as a dot, and a goal or limit as a named line."""
    name_of_line, goal = line
    ordered = {name: sorted(found) for name, found in rates.items()}
    top = max(goal, *(found[-1] for found in ordered.values())) * 1.15
    frame = Frame((0, len(rates)), (0, top))
    frame.line((0, 0), (len(rates), 0), GRID)
    for number, (name, found) in enumerate(ordered.items()):
        at, median = number + 0.5, found[len(found) // 2]
        frame.bar(at, median, width=0.4, color=COLOR)
        frame.label_below(at, f"{name}: {median:.0f}")
        for rate in found:
            frame.dot((at, rate))
    frame.line((0, goal), (len(rates), goal), LIMIT_COLOR, dashed=True)
    frame.label_at((len(rates), goal), f"{name_of_line}: {goal:.0f}", LIMIT_COLOR)
    frame.label_beside(0, "0")
    return frame.svg(title)
