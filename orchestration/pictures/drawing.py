"""A drawing: shapes and texts on a canvas, written as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from orchestration.pictures.palette import stylesheet
from orchestration.pictures.words import plain, shortened, tip

WIDTH = 760
"""Every picture's width; a page that is narrower scrolls or scales it."""

MARGIN = 14
"""Around a picture that stands alone."""

TEXT = 13.0
SMALL = 11.5


class Drawing:
    """A canvas of `WIDTH` by a height, in pixels at its natural size, y downwards.

    Looks are classes of `palette.stylesheet`; texts from data are cleaned, fitted and escaped here.
    """

    def __init__(self, height: float) -> None:
        self.height = height
        self._root = ElementTree.Element("g")

    def rect(
        self, x: float, y: float, width: float, height: float, look: str, *, told: str = "", radius: float = 0
    ) -> None:
        """A rectangle; `told` is its tooltip."""
        shape = self._shape("rect", look, told, x=x, y=y, width=max(width, 0), height=max(height, 0))
        if radius:
            shape.set("rx", _number(radius))

    def line(self, points: Sequence[tuple[float, float]], look: str = "axis", *, told: str = "") -> None:
        """A line through points."""
        places = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        self._shape("polyline", look, told).set("points", places)

    def dot(self, x: float, y: float, radius: float, look: str, *, told: str = "") -> None:
        """A disc around a point."""
        self._shape("circle", look, told, cx=x, cy=y, r=radius)

    def band(
        self, left: tuple[float, float], right: tuple[float, float], thickness: float, look: str, *, told: str
    ) -> None:
        """A flow from the top-left to the top-right point, as thick at either end."""
        (x0, y0), (x1, y1) = left, right
        middle = (x0 + x1) / 2
        path = (
            f"M{_number(x0)},{_number(y0)}C{_number(middle)},{_number(y0)} {_number(middle)},{_number(y1)} "
            f"{_number(x1)},{_number(y1)}V{_number(y1 + thickness)}C{_number(middle)},{_number(y1 + thickness)} "
            f"{_number(middle)},{_number(y0 + thickness)} {_number(x0)},{_number(y0 + thickness)}Z"
        )
        self._shape("path", f"flow {look}", told).set("d", path)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        look: str = "",
        size: float = TEXT,
        anchor: str = "start",
        width: float | None = None,
        turn: float = 0,
    ) -> None:
        """A text on its base line; shortened to a width, with the whole of it as tooltip; turned by degrees."""
        # Bold letters are wider.
        room = width / 1.1 if width is not None and "bold" in look else width
        shown = plain(text) if room is None else shortened(text, room, size)
        shape = self._shape("text", look, tip(text) if shown != plain(text) else "", x=x, y=y)
        shape.set("font-size", _number(size))
        if anchor != "start":
            shape.set("text-anchor", anchor)
        if turn:
            shape.set("transform", f"rotate({_number(turn)} {_number(x)} {_number(y)})")
        # After a tooltip the text is that element's tail.
        if len(shape):
            shape[0].tail = shown
        else:
            shape.text = shown

    def _shape(self, tag: str, look: str, told: str, **places: float) -> ElementTree.Element:
        shape = ElementTree.SubElement(self._root, tag, {key: _number(place) for key, place in places.items()})
        if look:
            shape.set("class", look)
        if told:
            ElementTree.SubElement(shape, "title").text = plain(told)
        return shape

    def append(self, other: "Drawing", y: float) -> None:
        """Another drawing, from a height on."""
        place = ElementTree.SubElement(self._root, "g", {"transform": f"translate(0 {_number(y)})"})
        place.append(other._root)

    def to_svg(self, *, title: str, description: str, is_alone: bool) -> str:
        """The drawing as SVG.

        Args:
            title: What the picture is called, for those who cannot see it.
            description: What it shows, likewise.
            is_alone: Whether it is a file of its own, which brings its style and title; or a part of a page.
        """
        margin = MARGIN if is_alone else 0
        width, height = _number(WIDTH + 2 * margin), _number(self.height + 2 * margin)
        size = {"viewBox": f"{-margin} {-margin} {width} {height}"}
        root = ElementTree.Element(
            "svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "picture", "role": "img", **size}
        )
        if is_alone:
            root.set("width", width)
            root.set("height", height)
            ElementTree.SubElement(root, "title").text = plain(title)
            ElementTree.SubElement(root, "desc").text = plain(description)
            ElementTree.SubElement(root, "style").text = stylesheet()
            paper = {"x": str(-margin), "y": str(-margin), "width": width, "height": height, "class": "surface"}
            ElementTree.SubElement(root, "rect", paper)
        else:
            root.set("aria-label", plain(f"{title}. {description}"))
        root.append(self._root)
        return ElementTree.tostring(root, encoding="unicode")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture of a mart and what is said beside it.

    Attributes:
        name: The name of its file, without suffix.
        mart: What it was drawn from.
        title: What it shows, as a heading.
        reading: How to read it, one sentence.
        description: What it says, for those who cannot see it.
        topic: The paragraph of the README that defines its numbers.
        drawing: The drawing itself.
    """

    name: str
    mart: str
    title: str
    reading: str
    description: str
    topic: str
    drawing: Drawing

    def to_file(self) -> str:
        """An SVG file that stands alone."""
        return self.drawing.to_svg(title=self.title, description=self.description, is_alone=True)

    def to_part(self) -> str:
        """An SVG element of a page that has `palette.stylesheet`."""
        return self.drawing.to_svg(title=self.title, description=self.description, is_alone=False)


def poster(pictures: Sequence[Picture]) -> str:
    """Pictures one below the other, each under its title, as an SVG file that stands alone."""
    tops = [0.0]
    for picture in pictures:
        tops.append(tops[-1] + 34 + picture.drawing.height + 30)
    drawing = Drawing(tops[-1] - 30)
    for top, picture in zip(tops, pictures, strict=False):
        drawing.text(0, top + 16, picture.title, look="bold", size=TEXT + 3, width=WIDTH)
        drawing.append(picture.drawing, top + 34)
    return drawing.to_svg(
        title="; ".join(picture.title for picture in pictures),
        description=" ".join(picture.description for picture in pictures),
        is_alone=True,
    )


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
