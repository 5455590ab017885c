"""What a bench is going to play, checked before anything is played."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atari_vlm.advice.estimate import Estimate, estimate_of
from atari_vlm.advice.records import billed
from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.bench.cells import SELECTION, Cell
from atari_vlm.bench.results import earlier_run
from atari_vlm.bench.settings import (
    BEST_CONSTANT,
    BenchSettings,
    Player,
    applicable,
    is_model,
    name_of,
)
from atari_vlm.errors import CannotPlay, InvalidSetting, StoreError
from atari_vlm.models.hosted.budget import SharedBudget
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.options import given, part, values
from atari_vlm.players import NO_PROMPT, Options
from atari_vlm.policies.registry import ALWAYS, constants
from atari_vlm.protocols import Policy
from atari_vlm.runs.run import Run
from atari_vlm.runs.runner import Watcher
from atari_vlm.runs.seeds import EPISODES
from atari_vlm.runs.settings import must_match, settings_digest
from atari_vlm.runs.waiting import wait_for
from atari_vlm.trainer import VLMTrainer

TRIALS = 3
"""Most episodes with which the best constant action is chosen."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to be played."""

    game: str
    player: Player
    folder: str
    """Its run, relative to the folder of the bench."""
    constant: str = ""
    """The constant player that was chosen earlier, if this is the best of them."""
    finished: int = 0
    """Episodes that are finished already."""
    billed: bool = False
    account: str = ""
    """The server that its model asks, which has one key; empty if it asks none."""
    estimate: Estimate | None = field(default=None, repr=False)
    """Of the episodes that are left; None if nothing is left, or nobody counts tokens."""

    @property
    def name(self) -> str:
        """Game and player, for lines of progress."""
        return f"{self.game}, {name_of(self.player)}"


def check_jobs(settings: BenchSettings) -> tuple[list[Job], list[Cell]]:
    """The cells to be played, and an empty cell for each player of a game that it cannot play.

    Raises:
        AtariVLMError: a name, a setting, a key or a package is wrong, or no player can play any
            of the games.
    """
    jobs: list[Job] = []
    empty: list[Cell] = []
    taken: set[str] = set()
    for game in dict.fromkeys(get_game(name).name for name in settings.games):
        Emulator(
            get_game(game),
            full_action_space=settings.full_action_space,
            mode=settings.mode,
            difficulty=settings.difficulty,
        )
        for player in settings.players:
            try:
                job = _checked(settings, game, player, taken)
            except CannotPlay as error:
                empty.append(
                    Cell(
                        game=game,
                        player=name_of(player),
                        status="cannot play",
                        problem=str(error),
                        marked=error.message,
                    )
                )
                continue
            taken.add(job.folder)
            jobs.append(job)
    if not jobs:
        raise InvalidSetting("No player can play any of the games. " + " ".join(_reasons(empty)))
    return jobs, empty


def _reasons(empty: Iterable[Cell]) -> Iterable[str]:
    return dict.fromkeys(cell.problem for cell in empty)


def _checked(settings: BenchSettings, game: str, player: Player, taken: set[str]) -> Job:
    best = player == BEST_CONSTANT
    named = constants(game)[0] if best else player
    trainer = trainer_of(settings, game, named, settings.seed)
    try:
        ignored = ("model", "version") if best else ()
        # Earlier versions kept the run of the best constant player under that one's name.
        folder = earlier_run(settings.out, game, BEST_CONSTANT, settings.seed) if best else ""
        if not folder or not _free(settings.out / folder, trainer, ignored):
            folder = find_folder(settings.out, trainer, name_of(player), taken, ignored)
        constant, finished = _recorded(settings.out / folder)
        estimate = None
        is_billed = billed(trainer.player)
        if is_billed and finished < settings.episodes:
            estimate = estimate_of(trainer.player, settings.episodes - finished)
    finally:
        if trainer.player.model is not None:
            wait_for(trainer.player.model.close())
    model = trainer.player.model
    hosted = model.settings if isinstance(model, HostedModel) else None
    return Job(
        game=game,
        player=player,
        folder=folder,
        constant=constant if best else "",
        finished=finished,
        billed=is_billed,
        account=(hosted.base_url or hosted.provider) if hosted else "",
        estimate=estimate,
    )


def _recorded(folder: Path) -> tuple[str, int]:
    """The player and the number of finished episodes of a run; "" and 0 if there is none."""
    if not Run.exists(folder):
        return "", 0
    with closing(Run.read(folder)) as run:
        finished = sum(row.status == "finished" for row in run.episodes())
        return str(run.settings["model"]), finished


# --- folders -------------------------------------------------------------------------------------


def find_folder(
    out: Path,
    trainer: VLMTrainer,
    name: str,
    taken: Iterable[str] = (),
    ignored: tuple[str, ...] = (),
) -> str:
    """The folder of a cell's run, relative to that of the bench.

    It is named after player, prompt and seed. If a run with other settings has that name already,
    the settings are told apart by a digest at its end.

    Args:
        out: folder of the bench.
        trainer: that will play.
        name: of the player.
        taken: folders of other cells.
        ignored: settings in which the run may differ.
    """
    settings = trainer.settings
    game, seed = str(settings["game"]), trainer.seed
    kept = {key: value for key, value in settings.items() if key not in ignored}
    prompt = str(settings["prompt"])
    told = prompt in (NO_PROMPT, name.partition("+")[0])  # embedded, embedded+blank
    shown = name if told else f"{name}-{prompt}"
    # Benches of earlier versions did not name the prompt.
    candidates = (
        [f"{name}-s{seed}"]
        if shown != name and Run.exists(out / game / _path_part(f"{name}-s{seed}"))
        else []
    )
    candidates += [f"{shown}-s{seed}", f"{shown}-s{seed}-{settings_digest(kept)}"]
    for candidate in candidates:
        folder = f"{game}/{_path_part(candidate)}"
        if folder not in taken and _free(out / folder, trainer, ignored):
            return folder
    return folder


def _path_part(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name)


def _free(folder: Path, trainer: VLMTrainer, ignored: tuple[str, ...]) -> bool:
    """Whether a folder holds no run, or one with the settings of the trainer."""
    if not Run.exists(folder):
        return True
    asked = {**trainer.settings, "purpose": "train", "taught_by_episodes": None}
    asked["first_seed"] = trainer.seed * EPISODES
    try:
        with closing(Run.read(folder)) as run:
            same = {name: run.settings.get(name) for name in ignored}
            must_match(folder, run.settings, {**asked, **same}, given(part(trainer, Options)))
    except StoreError:
        return False
    return True


# --- trainers ------------------------------------------------------------------------------------


def trainer_of(
    settings: BenchSettings,
    game: str,
    player: Player,
    seed: int,
    *,
    folder: str | None = None,
    watch: Watcher | None = None,
    shared: SharedBudget | None = None,
) -> VLMTrainer:
    """The trainer of a player, with the options that it follows.

    Args:
        settings: of the bench.
        game: to be played.
        player: who plays it.
        seed: of the run.
        folder: of the run, relative to that of the bench.
        watch: called with (episode, step) during play.
        shared: what the bench may spend.
    """
    options = replace(
        applicable(player, part(settings, Options)),
        seed=seed,
        run_folder=None if folder is None else settings.out / folder,
    )
    own: dict[str, Any] = {}
    if not isinstance(player, str):
        own = {"policy" if isinstance(player, Policy) else "model": player}
    if is_model(player):
        own |= {"strategy": settings.strategy, "learner": settings.learner}
    return VLMTrainer(
        game, name_of(player), **values(options), **own, watch=watch, shared_budget=shared
    )


def best_constant(
    settings: BenchSettings, game: str, lives: Callable[[], None] = lambda: None
) -> str:
    """Name of the constant player with the best mean on the selection seed; ties: the first.

    Args:
        settings: of the bench.
        game: to be played.
        lives: called before each of them plays.
    """
    means = {name: _mean(settings, game, name, lives) for name in constants(game)}
    return max(means, key=lambda name: means[name])


def _mean(settings: BenchSettings, game: str, name: str, lives: Callable[[], None]) -> float:
    assert name.startswith(ALWAYS)
    lives()
    folder = find_folder(settings.out, trainer_of(settings, game, name, SELECTION), name)
    trainer = trainer_of(settings, game, name, SELECTION, folder=folder)
    return trainer.train(min(TRIALS, settings.episodes)).mean.value


Report = Callable[[str], None]
"""Called with each line of progress."""
