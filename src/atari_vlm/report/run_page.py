"""The replay page of a run folder: calls come from the record, screens from replaying the plans."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from atari_vlm.atari.games import get_game
from atari_vlm.costs.bill import compare
from atari_vlm.errors import StoreError
from atari_vlm.models.hosted.video import MOST_FPS
from atari_vlm.protocols import labelled
from atari_vlm.report.drawing import Draw, Film, drawing
from atari_vlm.report.played import PlayedRun
from atari_vlm.report.render import write
from atari_vlm.report.replay import Replay
from atari_vlm.runs.results import privileges_in
from atari_vlm.runs.run import EpisodeRow, Run
from atari_vlm.runs.schema import FILE, legible
from atari_vlm.runs.settings import completed
from atari_vlm.stats import mean_interval

MOST_DECISIONS = 60_000
"""Decisions in a page by default, about 20 MB. The page names the episodes it has."""

_Shown: TypeAlias = list[tuple[PlayedRun, list[tuple[EpisodeRow, Film]]]]
"""The runs of a page, its own first, with the episodes that are shown."""


def write_replay(
    folder: Path,
    out: Path | None = None,
    *,
    episodes: Sequence[int] | None = None,
    evaluations: Sequence[Path] | None = None,
) -> Path:
    """Write the replay page of a run, which may still be playing.

    Args:
        folder: the run.
        out: the file, replaced whole; None for replay.html in the run's folder.
        episodes: numbers of the episodes to show; None for all, up to `MOST_DECISIONS`.
        evaluations: run folders whose episodes are shown too, as the evaluation of this run; None
            for those that lie in its folder.

    Returns:
        The file.

    Raises:
        StoreError: there is no run or no such episode, replaying the run gives other screens, or
            the file cannot be written.
        InvalidSetting: nothing has been played yet.
    """
    path = out or folder / "replay.html"
    with ExitStack() as opened:
        run = opened.enter_context(closing(Run.read(folder)))
        beside = evaluations_of(run) if evaluations is None else evaluations
        if episodes is not None:
            beside = ()
        runs = [opened.enter_context(closing(Run.read(each))) for each in beside]
        opened.enter_context(legible(run.folder / FILE))
        opened.enter_context(_uncollected())
        shown = _shown(run, episodes, runs, MOST_DECISIONS)
        # Long episodes are drawn by other processes while this one reads what was said in them.
        films = [film for _, rows in shown for _, film in rows]
        draw = opened.enter_context(drawing(films))
        write(_replay(run, shown, draw), path)
    return path


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look at a million values again and again.

    All of them are needed until the page is written, and none refers to itself.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def evaluations_of(run: Run) -> list[Path]:
    """The evaluations in the folder of a training run, by the training they came after."""
    found = []
    for folder in run.folder.glob("evaluate*"):
        if Run.exists(folder):
            with closing(Run.read(folder)) as other:
                if all(
                    other.settings.get(name) == run.settings.get(name) for name in ("game", "model")
                ):
                    found.append((_taught_by(other), folder.name, folder))
    return [folder for *_, folder in sorted(found)]


def _taught_by(run: Run) -> int:
    taught = run.settings.get("taught_by_episodes")
    return taught if isinstance(taught, int) else 0


def replay_of(
    run: Run,
    *,
    episodes: Sequence[int] | None = None,
    evaluations: Sequence[Run] = (),
    most: int = MOST_DECISIONS,
) -> Replay:
    """What a page shows of a run. Its screens are drawn when the page is rendered.

    Args:
        run: an open run.
        episodes: numbers of the episodes to show; None for all.
        evaluations: open runs, shown as its evaluations.
        most: without `episodes`, further episodes of a run are left out after this many decisions.
    """
    return _replay(run, _shown(run, episodes, evaluations, most))


def _shown(
    run: Run, episodes: Sequence[int] | None, evaluations: Sequence[Run], most: int
) -> _Shown:
    played = [_placed(run, evaluations), *_evaluations(evaluations)]
    asked = [episodes, *(None for _ in evaluations)]
    return [
        (each, [(row, each.film(row)) for row in _chosen(each.run, numbers, most)])
        for each, numbers in zip(played, asked, strict=True)
    ]


def _replay(run: Run, shown: _Shown, draw: Draw | None = None) -> Replay:
    game, model = get_game(str(run.settings["game"])), str(run.settings["model"])
    known = completed(run.settings)
    prompt = known.get("prompt")
    player = labelled(model, privileges_in(run.settings))
    return Replay(
        title=f"{game.cartridge} · {player}",
        game=game.cartridge,
        policy="" if prompt in (None, "none") else f"{prompt} prompt",
        model=model,
        label=player,
        settings={
            name: str(value)
            for name, value in run.settings.items()
            if value not in (None, "") and name not in ("estimate", "pictures", "first_seed")
        },
        facts=[
            *_facts(run, [row for row, _ in shown[0][1]]),
            *(_mean(each.run) for each, _ in shown[1:]),
        ],
        random_score=game.random_score,
        human_score=game.human_score,
        standard=game.standard,
        meanings=game.all_meanings(known["mode"]),
        episodes=[each.episode(row, film, draw) for each, rows in shown for row, film in rows],
        stored_screens=[screen for each, _ in shown for screen in each.stored_screens()],
        pictures=_pictures(run.settings),
    )


def _placed(run: Run, evaluations: Sequence[Run]) -> PlayedRun:
    """The run of the page, with a heading if it is one part of training and evaluation."""
    purpose, learns = run.settings.get("purpose"), run.settings.get("learner")
    if purpose == "evaluate":
        return PlayedRun(run, phase=_evaluation(run))
    return PlayedRun(run, phase="Training" if evaluations or learns else "")


def _evaluations(runs: Sequence[Run]) -> list[PlayedRun]:
    several = len(runs) > 1
    return [
        PlayedRun(
            run,
            place=place,
            phase=_evaluation(run),
            title=f"{_when(run)}," if several else "evaluation",
        )
        for place, run in enumerate(runs, 1)
    ]


def _evaluation(run: Run) -> str:
    if run.settings.get("taught_by_episodes") is None and not _is_taught_elsewhere(run):
        return "Evaluation"
    taught = _taught_by(run)
    episodes = f" training episode{'s' * (taught != 1)}" if taught else ""
    return f"Evaluation, {_when(run)}{episodes}"


def _when(run: Run) -> str:
    """When an evaluation was played, e.g. "after 3", or by what it was taught."""
    if _is_taught_elsewhere(run):
        return "taught by another run"
    taught = _taught_by(run)
    return f"after {taught}" if taught else "before training"


def _is_taught_elsewhere(run: Run) -> bool:
    """Whether an evaluation shows what another run learned, and not what its training did."""
    return bool(run.settings.get("learner")) and run.settings.get("taught_by_episodes") is None


def _pictures(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How the frames of its prompts became pictures; see `protocols.Depicting`."""
    recorded = settings.get("pictures")
    if isinstance(recorded, dict):
        return _plain(recorded)
    if completed(settings).get("prompt") == "embedded":
        return {"form": "motion", "side": 160}  # every checkpoint before this was recorded
    if settings.get("video"):
        return {"form": "video", "multiple": 1, "most": None, "fastest": MOST_FPS}
    said = settings.get("local")
    return {"form": "each", **({"said": said} if said else {})}


_FORMS = frozenset({"each", "motion", "video", "mosaic"})


def _plain(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """How pictures were made, as far as it is plain: short texts, flags, numbers up to 4096."""
    kept = {
        name: value
        for name, value in recorded.items()
        if (isinstance(value, int | float) and 0 <= value <= 4096)
        or value is None
        or (isinstance(value, str) and len(value) <= 1000)
    }
    return kept if recorded.get("form") in _FORMS else {"form": "each"}


def _chosen(run: Run, asked: Sequence[int] | None, most: int) -> list[EpisodeRow]:
    begun = run.episodes()
    if asked is not None:
        rows = {row.episode: row for row in begun}
        if missing := [str(number) for number in asked if number not in rows]:
            have = ", ".join(map(str, rows)) or "none"
            raise StoreError(f"{run.folder} has no episode {', '.join(missing)}. It has: {have}.")
        return [rows[number] for number in asked]
    chosen: list[EpisodeRow] = []
    total = 0
    for row in begun:
        total += len(run.plans(row.episode))
        if chosen and total > most:
            break
        chosen.append(row)
    return chosen


def _facts(run: Run, shown: Sequence[EpisodeRow]) -> list[tuple[str, str]]:
    begun, privileges = run.episodes(), privileges_in(run.settings)
    mean = labelled(_mean_score(begun), privileges)
    facts = [("Folder", run.folder.name), ("Mean score", mean)]
    if len(shown) < len(begun):
        numbers = ", ".join(str(row.episode) for row in shown)
        facts.append(("In this page", f"episode {numbers}, of {len(begun)} in the run"))
    if refusals := run.refusals():
        facts.append(("Answers that refused to play", f"{refusals:,}"))
    if compared := compare(run.settings, sum(run.sources().values()), run.usage()):
        facts += compared.lines()
    if privileges or run.settings.get("prompt") == "none":
        facts.append(("Reads beyond the screen", ", ".join(privileges) or "nothing"))
    return facts


def _mean_score(rows: Sequence[EpisodeRow]) -> str:
    scores = [row.score for row in rows if row.status == "finished" and row.score is not None]
    if not scores:
        return "none, as no episode is finished"
    episodes = f"{len(scores)} finished episode{'s' * (len(scores) != 1)}"
    return f"{mean_interval(scores)} over {episodes}"


def _mean(evaluation: Run) -> tuple[str, str]:
    return (_evaluation(evaluation), f"mean score {_mean_score(evaluation.episodes())}")
