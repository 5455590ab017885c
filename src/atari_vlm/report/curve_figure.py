"""The figure of a learning curve, as an SVG file that papers and pages can show as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from atari_vlm.runs.curve import MEANINGS, Arm, ArmName, Curve, Point
from atari_vlm.stats import counted, format_score

WIDTH, HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 54, 58
_INSET = 14
"""Room for marks at both ends of the axis."""
_COLOURS: dict[ArmName, str] = {
    "learning": "#2f55d4",
    "control": "#a85b00",
    "shuffled": "#6a6f78",
}
_DASHES: dict[ArmName, str] = {"learning": "", "control": "9 9", "shuffled": "3 6"}
_WIDTHS: dict[ArmName, float] = {"learning": 5, "control": 2, "shuffled": 2}
_BESIDE: dict[ArmName, float] = {"learning": 0, "control": -8, "shuffled": 8}
"""Pixels that marks and bars stand beside their episode, so that equal ones cover none."""
_INK, _MUTED, _LINE = "#1a1c20", "#60646c", "#e4e1da"
_FONT = "-apple-system,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',sans-serif"
_APART = 17
"""Least distance of two labels."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where episodes and scores lie."""

    episodes: int
    low: float
    high: float

    def x(self, after: float) -> float:
        """Pixels from the left."""
        return _LEFT + _INSET + (WIDTH - _LEFT - _RIGHT - 2 * _INSET) * after / self.episodes

    def y(self, score: float) -> float:
        """Pixels from the top."""
        share = (score - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share


def figure(curve: Curve) -> str:
    """The held-out scores over the episodes of training, with their intervals and the controls.

    Small dots are the training episodes of the player that learns; no line joins them, as each is a
    game of another seed. The controls are drawn over it in thinner, broken lines with hollow marks,
    so that all are seen where they are equal.
    """
    scale, title = _scale(curve), _title(curve)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" font-family="{_FONT}" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#fdfcfa"/>',
        _text(_LEFT, 26, title, size=min(14, 1120 // len(title)), colour=_INK, weight=600),
        _text(_LEFT, 43, _note(curve), size=11),
        *_axes(scale),
        *_training(curve.learning, scale),
        *(band for arm in curve.arms for band in _bands(arm, scale)),
        *(mark for arm in curve.arms for mark in _arm(arm, scale)),
        *_labels(curve, scale),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def legend(curve: Curve) -> Iterator[str]:
    """A line of HTML for each arm: its mark, its name, its last mean, and what it is."""
    for arm in curve.arms:
        colour, dash = _COLOURS[arm.name], _DASHES[arm.name]
        mark = "" if _is_level(arm) else _mark(arm, arm.points[-1], 15, 7)
        yield (
            '<svg width="30" height="14" aria-hidden="true">'
            f"{_line(0, 7, 30, 7, colour, width=min(_WIDTHS[arm.name], 3), dash=dash)}{mark}</svg> "
            f"<b>{arm.name} {escape(arm.points[-1].mean.value_text())}</b>, "
            f"{escape(MEANINGS[arm.name])}"
        )


def _title(curve: Curve) -> str:
    seeds = len(curve.learning.points[-1].scores)
    return f"{curve.game}, {curve.model}: mean score on {seeds} held-out seed{'s' * (seeds != 1)}"


def _note(curve: Curve) -> str:
    missing = curve.learning.points[-1].mean.missing
    bars = f"no intervals: {missing}" if missing else "bars and bands: 95% intervals"
    return f"{bars}; small dots: training episodes"


def _scale(curve: Curve) -> _Scale:
    values = [score for score in curve.learning.training]
    for arm in curve.arms:
        for point in arm.points:
            mean = point.mean
            values += [each for each in (mean.value, mean.low, mean.high) if each is not None]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or max(1.0, 0.1 * abs(high))
    episodes = max(len(curve.learning.training), curve.learning.points[-1].after, 1)
    return _Scale(episodes, low - margin, high + margin)


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two values, at most so many."""
    unit = 10 ** math.floor(math.log10(max(high - low, 1e-9)))
    for step in (unit / 10, unit / 5, unit / 2, unit, 2 * unit, 5 * unit):
        first = math.ceil(low / step)
        count = math.floor(high / step) - first + 1
        if 2 <= count <= most:
            return [(first + k) * step for k in range(count)]
    return [low, high]


def _axes(scale: _Scale) -> Iterator[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for score in _steps(scale.low, scale.high, 6):
        y = scale.y(score)
        yield _line(_LEFT, y, right, y, _LINE)
        yield _text(_LEFT - 8, y + 4, format_score(score), anchor="end")
    whole = [each for each in _steps(0, scale.episodes, 11) if each == int(each)]
    for after in {0, *whole, scale.episodes}:
        close = scale.x(scale.episodes) - scale.x(after) < 24 and after != scale.episodes
        if not close:
            yield _line(scale.x(after), bottom, scale.x(after), bottom + 4, _MUTED)
            yield _text(scale.x(after), bottom + 18, f"{after:g}", anchor="middle")
    yield _line(_LEFT, bottom, right, bottom, _MUTED)
    yield _text((_LEFT + right) / 2, HEIGHT - 16, "episodes of training", anchor="middle")


def _training(arm: Arm, scale: _Scale) -> Iterator[str]:
    for number, score in enumerate(arm.training):
        yield (
            f'<circle cx="{scale.x(number + 0.5):.1f}" cy="{scale.y(score):.1f}" r="2.2" '
            f'fill="{_COLOURS["learning"]}" fill-opacity="0.35"/>'
        )


def _bands(arm: Arm, scale: _Scale) -> Iterator[str]:
    """The interval of a control that is the same all along, as a band."""
    mean = arm.points[0].mean
    if not _is_level(arm) or mean.low is None or mean.high is None:
        return
    top, bottom = scale.y(mean.high), scale.y(mean.low)
    width = scale.x(scale.episodes) - scale.x(0)
    yield (
        f'<rect x="{scale.x(0):.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{bottom - top:.1f}" fill="{_COLOURS[arm.name]}" fill-opacity="0.1"/>'
    )


def _is_level(arm: Arm) -> bool:
    """Whether it was evaluated once, as it never changes."""
    return len(arm.points) == 1 and arm.name == "control"


def _arm(arm: Arm, scale: _Scale) -> Iterator[str]:
    colour, dash, width = _COLOURS[arm.name], _DASHES[arm.name], _WIDTHS[arm.name]
    if _is_level(arm):
        y = scale.y(arm.points[0].mean.value)
        yield _line(scale.x(0), y, scale.x(scale.episodes), y, colour, width=width, dash=dash)
        return
    places = [(scale.x(point.after), scale.y(point.mean.value)) for point in arm.points]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    yield (
        f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        f'stroke-dasharray="{dash}" stroke-opacity="{0.5 if arm.name == "learning" else 1:g}"/>'
    )
    for point, (middle, y) in zip(arm.points, places, strict=True):
        mean, x = point.mean, middle + _BESIDE[arm.name]
        if mean.low is not None and mean.high is not None:
            low, high = scale.y(mean.low), scale.y(mean.high)
            yield _line(x, low, x, high, colour, width=1.5)
            yield _line(x - 4, low, x + 4, low, colour, width=1.5)
            yield _line(x - 4, high, x + 4, high, colour, width=1.5)
        yield _mark(arm, point, x, y)


def _mark(arm: Arm, point: Point, x: float, y: float) -> str:
    """A filled circle for learning, a hollow square for the control, a hollow diamond."""
    colour = _COLOURS[arm.name]
    title = f"<title>{escape(_named(arm, point))}</title>"
    if arm.name == "learning":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}">{title}</circle>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if arm.name == "shuffled" else ""
    return (
        f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="#fdfcfa" '
        f'stroke="{colour}" stroke-width="1.8"{turned}>{title}</rect>'
    )


def _named(arm: Arm, point: Point) -> str:
    return f"{MEANINGS[arm.name]}, after {counted(point.after, 'episode')}: {point.mean}"


def _labels(curve: Curve, scale: _Scale) -> Iterator[str]:
    """The name and the last mean of each arm, at its end on the right; none covers another."""
    wanted = sorted(
        ((scale.y(arm.points[-1].mean.value), arm) for arm in curve.arms),
        key=lambda each: each[0],
    )
    for (_, arm), y in zip(wanted, _spread([y for y, _ in wanted]), strict=True):
        text = f"{arm.name} {arm.points[-1].mean.value_text()}"
        x = WIDTH - _RIGHT + 10
        yield _text(x, y + 4, text, colour=_COLOURS[arm.name], weight=600)


def _spread(places: Sequence[float]) -> list[float]:
    """Places in order, moved down where two are closer than a label is high."""
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + _APART) if spread else place)
    return spread


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = ""
) -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashed}/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    size: int = 12,
    colour: str = _MUTED,
    weight: int = 400,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{colour}">{escape(text)}</text>'
    )
