"""A frame for values over time or by rank: its scale, its grid and its legend."""

import math
from collections.abc import Sequence
from datetime import date

from orchestration.pictures.drawing import SMALL, WIDTH, Drawing
from orchestration.pictures.words import short_number, width_of

LEFT, RIGHT = 58.0, 16.0


class Frame:
    """An upright scale over a stretch of the canvas, with a place for each of some columns.

    Attributes:
        width: Of one column.
    """

    def __init__(
        self, drawing: Drawing, *, top: float, bottom: float, low: float, high: float, columns: int,
        left: float = LEFT, right: float = WIDTH - RIGHT, as_percent: bool = False,
    ) -> None:  # fmt: skip
        step = _step((high - low) / 4)
        self._drawing, self._top, self._bottom, self._left, self._right = drawing, top, bottom, left, right
        self._low, self._high = math.floor(low / step) * step, max(math.ceil(high / step), 1) * step
        self.width = (right - left) / max(columns, 1)
        for number in range(round((self._high - self._low) / step) + 1):
            value = self._low + number * step
            at = self.y(value)
            drawing.line([(left, at), (right, at)])
            label = f"{abs(value):.0%}" if as_percent else short_number(abs(value))
            drawing.text(left - 8, at + 4, label, look="muted", size=SMALL, anchor="end")

    def x(self, column: int) -> float:
        """The left edge of a column."""
        return self._left + column * self.width

    def y(self, value: float) -> float:
        """Where a value stands."""
        return self._bottom - (value - self._low) / (self._high - self._low) * (self._bottom - self._top)

    def label_columns(self, labels: Sequence[str], *, apart: float = 14) -> None:
        """Write as many labels below the columns as fit beside each other, the last one always."""
        widest = max((width_of(label, SMALL) for label in labels), default=0) + apart
        every = max(1, math.ceil(widest / self.width))
        for column in range(len(labels) - 1, -1, -every):
            middle = self.x(column) + self.width / 2
            anchor = "end" if middle + widest / 2 > WIDTH else "middle"
            at = WIDTH - 2 if anchor == "end" else middle
            self._drawing.text(at, self._bottom + 18, labels[column], look="muted", size=SMALL, anchor=anchor)


def legend(drawing: Drawing, entries: Sequence[tuple[str, str]], *, y: float, x: float = LEFT) -> None:
    """A row of (look, what it stands for)."""
    for look, said in entries:
        drawing.rect(x, y - 10, 12, 12, look, radius=2)
        drawing.text(x + 18, y, said, size=SMALL)
        x += 18 + width_of(said, SMALL) + 18


def day(moment: date, *, with_year: bool = False) -> str:
    """A date for an axis."""
    return f"{moment:%Y-%m-%d}" if with_year else f"{moment:%d %b}".lstrip("0")


def _step(roughly: float) -> float:
    """The next of 1, 2, 5, 10, 20 … and, below one, likewise."""
    if roughly <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(roughly))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= roughly * 0.999)
