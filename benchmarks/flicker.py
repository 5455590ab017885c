"""What pictures show and hide of sprites that flicker, in every game and by every way of pooling.

    python benchmarks/flicker.py                        # all 104 games, 3 minutes on one core
    python benchmarks/flicker.py --games pacman,pong --seeds 2 --decisions 120
    python benchmarks/flicker.py --csv flicker.csv --pictures docs

Games are played at random with sticky actions (0.25), and every raw screen is kept. At every
fourth frame each way of pooling makes a picture of the last eight raw screens. It is judged by all
screens, later ones included:

background  the commonest value of a pixel in the 64 screens around; a sprite is a connected area
            of one colour that is not background (and not larger than an eighth of the screen).
gone        a sprite of an older screen of which less than a quarter is found, in the same colour,
            near its place in any later screen up to the newest: within 3 pixels a frame, 12 at
            most.
flickers    a sprite that is gone, and is found near its place again within eight frames of its last
            drawing. One that moved is found near; one that was destroyed does not come back; a
            score that changes is not found again, and one that stays is background.
area        pixels of sprites in the newest screen, and of flickering ones beside them: what a
            person sees at that moment.

missed      pixels of flickering sprites that the picture does not show, in % of the area.
false       pixels in which the picture differs from the newest screen without showing a flickering
            sprite at its last place, in % of the area: trails, most of all.

Means over games give every game the same weight.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import GAMES, SUGGESTED, get_game
from atari_vlm.atari.images import PALETTES
from atari_vlm.atari.pooling import RAW, brighter, flicker, last

SPEED, FAR, LARGEST = 3, 12, 4_200
BACKGROUND = 1
"""Marks background pixels; no NTSC game has this value, and in PAL it is another black."""


def brightest(count: int) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """The brighter pixels of the last `count` screens."""

    def pooled(screens):
        picture = screens[-1]
        for older in screens[-count:-1]:
            picture = brighter((older, picture))[0]
        return picture

    return pooled


WAYS: dict[str, Callable[[Sequence[np.ndarray]], np.ndarray]] = {
    "last": lambda screens: last(screens)[0],
    "brighter": brightest(2),
    "of 3": brightest(3),
    "of 4": brightest(4),
    "of 8": brightest(8),
    "flicker": lambda screens: flicker(screens)[0],
}


def raw_screens(name: str, seed: int, decisions: int, skip: int = 40) -> np.ndarray:
    """The raw screens of random play, (frames, height, width); the first decisions are left out."""
    emulator, rng = Emulator(get_game(name)), np.random.default_rng(seed)
    emulator.reset(seed=seed)
    screens = []
    for decision in range(skip + decisions):
        action = int(rng.integers(len(emulator.legal)))
        for _ in range(4):
            if emulator.terminated:
                emulator.reset(seed=seed + 1_000 + decision)
            emulator.play(action, 1, 1)
            if decision >= skip:
                screens.append(emulator.screen(pooled="last"))
    return np.array(screens)


class Clip:
    """Raw screens and their sprites."""

    def __init__(self, screens: np.ndarray) -> None:
        self.screens, self.sprites = screens, _without_background(screens)
        self._found: dict[int, list[tuple]] = {}

    def moments(self) -> range:
        """The numbers of the screens at which pictures are judged."""
        return range(2 * RAW, len(self.screens) - RAW - 1, 4)

    def flickering(self, newest: int) -> np.ndarray:
        """The age of the flickering sprite at each pixel; 0 for none."""
        ages = np.zeros(self.screens[0].size, np.int64)
        for age in range(1, RAW):
            for sprite in self._sprites_of(newest - age):
                later = (self._has(newest - k, sprite, age - k) for k in range(age - 1, -1, -1))
                again = (self._has(newest + k, sprite, age + k) for k in range(1, RAW - age + 1))
                if not any(later) and any(again):
                    where = sprite[-1]
                    ages[where[ages[where] == 0]] = age
        ages = ages.reshape(self.screens[0].shape)
        ages[self.sprites[newest] != BACKGROUND] = 0
        return ages

    def _sprites_of(self, number: int) -> list[tuple]:
        if number not in self._found:
            self._found[number] = _connected(self.sprites[number])
        return self._found[number]

    def _has(self, number: int, sprite: tuple, frames: int) -> bool:
        colour, top, bottom, left, right, where = sprite
        reach = min(FAR, SPEED * frames)
        box = self.sprites[number][
            max(0, top - reach) : bottom + reach + 1, max(0, left - reach) : right + reach + 1
        ]
        return 4 * np.count_nonzero(box == colour) >= len(where)


def _without_background(screens: np.ndarray) -> np.ndarray:
    out = np.full_like(screens, BACKGROUND)
    for start in range(0, len(screens), 16):
        around = screens[max(0, start - 24) : start + 40]
        rows, columns = np.nonzero((around != around[0]).any(0))
        if rows.size:
            pixels = around[:, rows, columns]
            values = np.unique(pixels)
            counts = np.stack([(pixels == value).sum(0) for value in values]).astype(float)
            # A value that is commoner on the screen wins a tie.
            counts += (counts.sum(1) / counts.sum() / 2)[:, None]
            common = values[counts.argmax(0)]
            block = screens[start : start + 16][:, rows, columns]
            out[start : start + 16][:, rows, columns] = np.where(block != common, block, BACKGROUND)
    return out


def _connected(screen: np.ndarray) -> list[tuple]:
    """Areas of one colour: (colour, top, bottom, left, right, flat indices)."""
    width = screen.shape[1]
    flat = screen.reshape(-1)
    places = np.flatnonzero(flat != BACKGROUND)
    if places.size > 2 * LARGEST:
        return []
    left, found = dict(zip(places.tolist(), flat[places].tolist(), strict=True)), []
    steps = (1, -1, width, -width, width + 1, width - 1, 1 - width, -1 - width)
    while left:
        place, colour = left.popitem()
        area, edge = [place], [place]
        while edge:
            at = edge.pop()
            for step in steps:
                if left.get(at + step) == colour:
                    del left[at + step]
                    area.append(at + step)
                    edge.append(at + step)
        where = np.array(area)
        y, x = np.divmod(where, width)
        if where.size < LARGEST:
            found.append((colour, y.min(), y.max(), x.min(), x.max(), where))
    return found


def measure(name: str, seeds: int, decisions: int, ways=WAYS) -> dict[str, tuple[float, float]]:
    """Way -> (missed, false) in % of the area; and "flickers" -> (its share of the area, area)."""
    area = flickers = 0
    faults = {way: np.zeros(2) for way in ways}
    for seed in range(seeds):
        clip = Clip(raw_screens(name, seed, decisions))
        for newest in clip.moments():
            ages, screen = clip.flickering(newest), clip.screens[newest]
            rows, columns = np.nonzero(ages)
            colours = clip.screens[newest - ages[rows, columns], rows, columns]
            flickers += rows.size
            area += rows.size + np.count_nonzero(clip.sprites[newest] != BACKGROUND)
            for way, pooled in ways.items():
                picture = pooled(list(clip.screens[newest - RAW + 1 : newest + 1]))
                shown = picture[rows, columns] == colours
                wrong = picture != screen
                wrong[rows[shown], columns[shown]] = False
                faults[way] += (~shown).sum(), wrong.sum()
    percent = 100 / max(1, area)
    return {
        "flickers": (flickers * percent, float(area)),
        **{way: tuple((fault * percent).tolist()) for way, fault in faults.items()},
    }


def write_pictures(folder: Path) -> None:
    """Three pictures of a moment side by side: the newest screen, brighter, flicker.

    The moment is the one at which "flicker" shows most that is in neither of the others.
    """
    for name in ("pacman", "wizard_of_wor"):
        screens = raw_screens(name, 0, 240)
        moments = [list(screens[k : k + RAW]) for k in range(0, len(screens) - RAW, 4)]
        shown = [
            [WAYS[way](recent) for way in ("last", "brighter", "flicker")] for recent in moments
        ]
        new = [np.count_nonzero((f != a) & (f != b)) for a, b, f in shown]
        left, middle, right = shown[int(np.argmax(new))]
        gap = np.zeros((left.shape[0], 4), np.uint8)
        indices = np.concatenate([left, gap, middle, gap, right], axis=1)
        picture = Image.fromarray(indices.repeat(2, axis=0).repeat(2, axis=1), "P")
        picture.putpalette(PALETTES[get_game(name).standard].tobytes())
        path = folder / f"pooling-{name.replace('_', '-')}.png"
        picture.save(path, optimize=True)
        print(path)


def main() -> None:
    """Measure, print a table and means, write files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", help="names separated by commas; default: all")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--decisions", type=int, default=60, help="for each seed")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--pictures", type=Path, help="write the pictures of the docs to a folder")
    asked = parser.parse_args()
    if asked.pictures:
        write_pictures(asked.pictures)
        return
    names = [get_game(name).name for name in asked.games.split(",")] if asked.games else [*GAMES]
    start, rows = time.process_time(), {}
    print("missed / false, % of the sprites' area")
    print(f"{'game':20}{'flickers':>9}" + "".join(f"{way:>16}" for way in WAYS))
    for name in names:
        rows[name] = measure(name, asked.seeds, asked.decisions)
        print(_line(name, rows[name]), flush=True)
    for title, group in (("all", names), ("the twelve", [n for n in SUGGESTED if n in rows])):
        if group:
            means = {
                key: tuple(np.mean([rows[name][key] for name in group], axis=0))
                for key in ("flickers", *WAYS)
            }
            print(_line(f"mean of {title}", means))
    print(f"{time.process_time() - start:.0f} CPU seconds")
    if asked.csv:
        with asked.csv.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["game", "way", "missed", "false", "flickers", "area"])
            for name, row in rows.items():
                share, area = row["flickers"]
                for way in WAYS:
                    values = [f"{value:.3f}" for value in (*row[way], share)]
                    writer.writerow([name, way, *values, int(area)])


def _line(name: str, row: dict[str, tuple[float, float]]) -> str:
    cells = "".join(f"{row[way][0]:8.2f} /{row[way][1]:6.1f}" for way in WAYS)
    return f"{name:20}{row['flickers'][0]:8.1f}%{cells}"


if __name__ == "__main__":
    main()
