"""Part of an episode as an animated GIF, with the model's words below the screen."""

from __future__ import annotations

import io
from contextlib import closing
from itertools import islice
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageFont

from atari_vlm.atari import images
from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.files.writing import write_whole
from atari_vlm.runs.playback import observations
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE, legible
from atari_vlm.types import Decision, Frame

SCREEN, PANEL = (480, 420), 92
"""(width, height) of the screen, 3 x 2 native pixels, near the shape of a television; height of the
text below it."""
INK, DIM, PAPER, ACCENT = (236, 236, 236), (150, 156, 166), (20, 22, 26), (110, 200, 255)


def write_film(
    run_folder: Path, out: Path, *, episode: int = 0, start: int = 0, decisions: int = 240
) -> Path:
    """Write an animated GIF of an episode, one picture a decision, at the speed of the game.

    Args:
        run_folder: a run.
        out: the file, replaced whole.
        episode: number of the episode.
        start: first decision shown.
        decisions: most decisions shown.

    Raises:
        StoreError: there is no such run or episode, or the file cannot be written.
        InvalidSetting: the episode has no decision from `start` on.
    """
    with closing(Run.read(run_folder)) as run, legible(run_folder / FILE):
        played = run.decisions(episode)
        shown = islice(observations(run, episode), start, start + decisions)
        pictures = [
            _picture(observation.frames[-1], decision, observation.score)
            for observation, decision in zip(shown, played[start:], strict=False)
        ]
        interval = run.settings["frame_skip"]
        seconds = interval / 60 if isinstance(interval, int) else 1 / 15
    if not pictures:
        raise InvalidSetting(
            f"Episode {episode} has {len(played)} decisions; none from {start} on."
        )
    blob = io.BytesIO()
    pictures[0].save(
        blob,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=max(20, round(1000 * seconds / 10) * 10),
        loop=0,
    )
    try:
        write_whole(out, blob.getvalue())
    except OSError as error:
        raise StoreError(f"Cannot write {out}: {error.strerror or error}.") from error
    return out


def _picture(frame: Frame, decision: Decision, score: float) -> Image.Image:
    picture = Image.new("RGB", (SCREEN[0], SCREEN[1] + PANEL), PAPER)
    picture.paste(images.to_pil_image(frame).resize(SCREEN, Image.Resampling.NEAREST), (0, 0))
    draw = ImageDraw.Draw(picture)
    top = SCREEN[1] + 8
    plan = f"{decision.action} for {decision.frames} frame{'s' * (decision.frames != 1)}"
    draw.text((12, top), plan, ACCENT, _font(17))
    draw.text((SCREEN[0] - 12, top), f"score {score:.15g}", DIM, _font(17), anchor="ra")
    words = " ".join((decision.reply or decision.reason).split())
    for number, line in enumerate(wrap(words, 70)[:3]):
        draw.text((12, top + 24 + 18 * number), line, INK, _font(14))
    return picture.quantize(64, dither=Image.Dither.NONE)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
