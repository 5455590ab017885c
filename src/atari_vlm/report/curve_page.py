"""The page of a learning curve: the figure, the table, and what was learned when.

One HTML file without scripts, which loads nothing; it links to the replay page beside it.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from html import escape
from importlib.resources import files

import numpy as np

from atari_vlm.atari import images
from atari_vlm.errors import StoreError
from atari_vlm.protocols import Proof
from atari_vlm.report.curve_figure import figure, legend
from atari_vlm.runs.curve import MEANINGS, Curve, difference_text
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.stats import format_score
from atari_vlm.types import Example, Frame

REPLAY = "replay.html"

MOST_PICTURES = 60
"""Examples with screens in a page; further ones have words only."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


def page(curve: Curve) -> str:
    """The page as text. Words of models and learners are shown as text, never as markup."""
    style = (files("atari_vlm.report") / "page" / "learning.css").read_text("utf-8")
    title = escape(f"{curve.game}: what {curve.model} learned")
    linked = (curve.folder / REPLAY).is_file()
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{style}</style><h1>{title}</h1><p>{escape(curve.settings)}</p>",
        f'<p>Learner: {escape(curve.learner)}. <a href="curve.csv">curve.csv</a>, '
        f'<a href="curve.svg">curve.svg</a>{_replay_link(linked)}</p>',
        f'<div class="figure">{figure(curve)}</div>',
        f'<ul class="legend">{"".join(f"<li>{line}</li>" for line in legend(curve))}</ul>',
        '<p class="narrow">The figure is wider than this window: scroll it sideways.</p>',
        *paired(curve),
        "<h2>Held-out scores</h2>",
        *_table(curve),
        "<h2>What was learned, and when</h2>",
        *_learned(curve, linked),
    ]
    return "\n".join(parts) + "</html>\n"


def _replay_link(linked: bool) -> str:
    return f', <a href="{REPLAY}">every decision</a>' if linked else ""


def paired(curve: Curve) -> Iterator[str]:
    """The paired differences under their heading; nothing if nothing is compared."""
    every = list(curve.differences())
    if not every:
        return
    yield "<h2>Differences, paired by seed</h2><ul>"
    for name, difference, pairs in every:
        yield f"<li>{escape(name)}: <b>{escape(difference_text(difference, pairs))}</b></li>"
    yield "</ul>"


def _table(curve: Curve) -> Iterator[str]:
    shown = {"examples": curve.shows_examples, "lessons": curve.shows_lessons}
    shown = {name: some for name, some in shown.items() if some}
    yield '<div class="table"><table><tr><th>after episodes</th><th>player</th>'
    yield '<th class="number">mean</th><th class="number">95% interval</th>'
    yield '<th class="number">seeds</th>'
    yield from (f'<th class="number">{name} shown</th>' for name in shown)
    for arm in curve.arms:
        for point in arm.points:
            mean = point.mean
            yield (
                f"<tr><td>{point.after}</td><td>{escape(MEANINGS[arm.name])}</td>"
                f'<td class="number">{mean.value_text()}</td><td class="number">{mean.text()}</td>'
                f'<td class="number">{len(point.scores)}</td>'
            )
            counts = (getattr(point, name) for name in shown)
            yield "".join(f'<td class="number">{count}</td>' for count in counts) + "</tr>"
    yield "</table></div>"


def _learned(curve: Curve, linked: bool) -> Iterator[str]:
    """Each time something new was learned, or something old was dropped."""
    trained, last = curve.learning.folder, curve.learning.points[-1]
    assert trained is not None
    left, before = MOST_PICTURES, dict[str, str]()
    with closing(Run.read(trained)) as run, closing(Run.read(last.folder)) as shown:
        proofs, unused = run.proofs(), run.unused_reviews
        for after in range(last.after + 1):
            source, made = run, run.lessons(after, _undrawn)
            if made is None and after == last.after:  # made for the evaluation alone
                source, made = shown, shown.lessons(0, _undrawn)
            tried = [proof for row, proof in proofs if row == after]
            if made is None:
                continue
            texts = dict.fromkeys(made.advice, "lesson")
            texts |= {example.text: "example" for example in made.examples}
            new = [example for example in made.examples if example.text not in before]
            if tried or texts.keys() != before.keys():
                yield f"<section><h3>{_heading(curve, after, linked)}</h3>"
                yield from _words(words for words in made.advice if words not in before)
                yield from _examples(new, pictures(source), left)
                yield from map(_tried, tried)
                gone = Counter(kind for text, kind in before.items() if text not in texts)
                yield "".join(map(_dropped, gone, gone.values())) + "</section>"
            left, before = left - len(new), texts
    if not before and not proofs:
        yield "<p>Nothing: there was no example and no lesson.</p>"
    if unused:
        yield f"<p>{escape(unused)}</p>"


def _undrawn(episode: int, step: int) -> Frame:
    """A frame without pixels: only those that are shown are drawn."""
    return Frame(_NO_PIXELS, episode, step)


_NO_PIXELS = np.zeros((0, 0), np.uint8)


def _heading(curve: Curve, after: int, linked: bool) -> str:
    if not after:
        return "From the start"
    score = curve.learning.training[after - 1]
    said = f"After episode {after - 1}, which scored {format_score(score)}"
    return f'<a href="{REPLAY}#episode={after - 1}">{said}</a>' if linked else said


def _words(new: Iterable[str]) -> Iterator[str]:
    for words in new:
        yield f'<p class="lesson">{escape(words)}</p>'


def _examples(
    new: Sequence[Example], draw: Callable[[int, int], Frame], left: int
) -> Iterator[str]:
    for number, example in enumerate(new):
        shown = example.frames if number < left else ()
        screens = "".join(_picture(frame, draw) for frame in shown)
        source = f" <small>{escape(example.source)}</small>" if example.source else ""
        yield f"<figure>{screens}<figcaption>{escape(example.text)}{source}</figcaption></figure>"


def _tried(proof: Proof) -> str:
    """A lesson that was tried in paired games, and what came of it."""
    kept = "Kept" if proof.kept else "Not kept"
    return f"<p>{kept} after trying: {escape(proof.lesson)} <b>{escape(proof.reason)}.</b></p>"


def _dropped(kind: str, count: int) -> str:
    return f"<p>{count} earlier {kind}{'s' * (count > 1)} no longer shown.</p>"


def _picture(frame: Frame, draw: Callable[[int, int], Frame]) -> str:
    """A screen of an example as an image; empty if it cannot be drawn."""
    try:
        png = images.png(draw(frame.episode, frame.step))
    except StoreError:
        return ""
    data = base64.b64encode(png).decode()
    alt = "a screen of this example"
    return f'<img alt="{alt}" src="data:image/png;base64,{data}">'
