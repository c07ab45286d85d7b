"""Colours that hold in light and dark, on paper, and for readers who see fewer of them.

Series keep apart by more than hue: no two come near each other under any of the common kinds of colour blindness. Text
has a contrast of 4.5 or more, shapes that carry meaning of 3 or more, as WCAG 2 asks.
"""

SERIES = ("first", "second", "third", "fourth")

LIGHT = {
    "surface": "#ffffff",
    "ink": "#16191d",
    "muted": "#555b63",
    "grid": "#d5d9de",
    "track": "#e6eaf0",
    "first": "#003f7d",
    "second": "#1d91c0",
    "third": "#d9480f",
    "fourth": "#7a7f87",
}
DARK = {
    "surface": "#14181d",
    "ink": "#f1f3f5",
    "muted": "#b3bac2",
    "grid": "#3a414a",
    "track": "#2a3038",
    "first": "#4f94e8",
    "second": "#8fd6e8",
    "third": "#ff9040",
    "fourth": "#8b929b",
}

SHADES = 10
"""How many steps a scale of shades has."""

_SCALES = {"light": ("#e3eef9", "#003568"), "dark": ("#1d2b3a", "#a9d3ff")}

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", Arial, sans-serif'


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour such as ``#0a4c8a``, 0 to 1, as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21, as WCAG 2 defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def shades(theme: str) -> list[tuple[str, str]]:
    """(fill, text on it) from the least to the most."""
    start, end = _SCALES[theme]
    fills = []
    for step in range(SHADES):
        share = step / (SHADES - 1)
        parts = [
            round(int(start[at : at + 2], 16) * (1 - share) + int(end[at : at + 2], 16) * share) for at in (1, 3, 5)
        ]
        fills.append("#" + "".join(f"{part:02x}" for part in parts))
    return [(fill, max("#000000", "#ffffff", key=lambda text: contrast(fill, text))) for fill in fills]


def shade(share: float) -> int:
    """The step of a share, 0 to 1, of the most that is shown."""
    return min(SHADES - 1, max(0, int(share * SHADES)))


def _theme(name: str, colours: dict[str, str]) -> str:
    variables = [f"--{key}:{colour}" for key, colour in colours.items()]
    for step, (fill, text) in enumerate(shades(name)):
        variables += [f"--shade{step}:{fill}", f"--on{step}:{text}"]
    return ";".join(variables)


def stylesheet(selector: str = ":root") -> str:
    """The CSS variables of both themes and the classes that pictures are drawn with."""
    light, dark = _theme("light", LIGHT), _theme("dark", DARK)
    classes = [
        f".picture text{{font-family:{FONT};fill:var(--ink)}}",
        ".picture .muted{fill:var(--muted)}",
        ".picture .bold{font-weight:600}",
        *(f".picture .{key}{{fill:var(--{key})}}" for key in ("surface", "track", *SERIES)),
        *(f".picture .shade{step}{{fill:var(--shade{step})}}" for step in range(SHADES)),
        *(f".picture .on{step}{{fill:var(--on{step})}}" for step in range(SHADES)),
        ".picture .axis{stroke:var(--grid);fill:none}",
        *(
            f".picture .line-{key}{{stroke:var(--{key});fill:none;stroke-width:2;stroke-linejoin:round}}"
            for key in SERIES
        ),
        ".picture .open{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 2;fill:none}",
        *(f".picture .flow-{key}{{fill:var(--{key});fill-opacity:.45}}" for key in SERIES),
        ".picture .flow:hover{fill-opacity:.8}",
    ]
    # On paper the light theme holds, whatever the screen shows.
    return (
        f"{selector}{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{{selector}{{{dark}}}}}"
        ".picture{background:var(--surface)}" + "".join(classes)
    )
