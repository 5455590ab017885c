"""`VLMTrainer`: one object that plays, learns from its best play, and evaluates."""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from numpy.random import default_rng

from atari_vlm import stats
from atari_vlm.errors import InvalidSetting
from atari_vlm.games import Game, get_game
from atari_vlm.images import check_size
from atari_vlm.learning.examples import BestMoments, Progress
from atari_vlm.models.catalogue import build_model
from atari_vlm.models.journal import JournaledModel
from atari_vlm.playback import pictures
from atari_vlm.policies.players import is_player, player
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.strategies import PromptSettings, get_strategy
from atari_vlm.runner import Plan, Watcher, play
from atari_vlm.store import FILE, EpisodeRow, Run
from atari_vlm.types import (
    Learner,
    Lessons,
    Limits,
    Model,
    Policy,
    Step,
    Strategy,
    Trajectory,
    Usage,
)

EVALUATION = 500_000
"""Offset that keeps the seeds of evaluation apart from those of training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run came to."""

    folder: Path
    game: Game
    model: str
    prompt: str
    episodes: tuple[EpisodeRow, ...]
    """The finished episodes, in order."""
    sources: dict[str, int]
    """Decisions by how they came about; see `types.Source`."""
    usage: Usage
    seconds: float
    """Wall-clock time of this call; less than the play where a run was resumed."""
    played: int
    """Decisions made in this call; 0 when the run was complete before."""
    privileges: tuple[str, ...] = ()
    """What the player read beyond the screen; empty for honest players."""

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each finished episode."""
        return tuple(row.score for row in self.episodes if row.score is not None)

    @property
    def mean(self) -> stats.Interval:
        """Mean score with its bootstrap 95% interval (10,000 resamples, fixed seed)."""
        return stats.bootstrap(self.scores, rng=default_rng(0))

    @property
    def human_normalised(self) -> float | None:
        """0 plays like random, 1 like the human tester; None where the table has no such game."""
        return self.game.normalise(self.mean.value)


class VLMTrainer:
    """Lets a vision-language model play a game, learn in context, and be evaluated.

    Everything played is in a run folder under `save_dir`, from which the same call continues
    after any interruption. The key is given to the vendor's client and to nothing else.

    Args:
        game_name: any spelling of a game, e.g. "Pong-v5".
        vlm_type: a model of the catalogue (`atari-vlm models`), e.g. "embedded" or "gpt-4o"; a
            baseline ("random", "noop", "expert"); or with `base_url` any name that server knows.
        api_key: the vendor's key; None takes it from the vendor's environment variable.
        prompt_type: "basic", "cot", "expert", "adaptive" or "specialist"; None for the model's own.
        use_in_context_learning: show the best moments of earlier episodes in the prompt; None does
            so where the prompt can show them.
        num_examples: how many.
        frame_stack: screens the policy sees, oldest first.
        frames_in_prompt: how many of them are sent, oldest first; None for two, which show motion,
            or one where the stack has no more.
        resize_shape: (width, height) of the pictures sent; None for the native 160 x 210.
        frame_skip: emulator frames from one decision to the next, in all.
        repeat_action_probability: sticky actions.
        plans: let the model say for how many frames to hold an action.
        history: how many recent actions the prompt lists.
        temperature: sampling temperature; None for the model's own.
        max_tokens: longest answer; None for the model's own.
        max_decisions: end episodes after this many decisions (truncated); None for whole games.
        full_action_space: all 18 actions instead of the game's minimal set.
        seed: first seed; episode k of a run uses 1,000,000 * seed + k.
        parallel: episodes played at the same time.
        save_dir: where run folders go.
        run_folder: exactly this folder instead of one named after the settings.
        base_url: an OpenAI-compatible server (vLLM, SGLang, Ollama, llama.cpp, ...).
        model: a Model of your own instead of one from the catalogue; `vlm_type` names it.
        watch: called with (episode, step) as the play goes on.
    """

    def __init__(
        self,
        game_name: str,
        vlm_type: str = "embedded",
        api_key: str | None = None,
        prompt_type: str | None = None,
        use_in_context_learning: bool | None = False,
        *,
        num_examples: int = 3,
        frame_stack: int = 4,
        frames_in_prompt: int | None = None,
        resize_shape: tuple[int, int] | None = None,
        frame_skip: int = 4,
        repeat_action_probability: float = 0.25,
        plans: bool = True,
        history: int = 8,
        temperature: float | None = None,
        max_tokens: int | None = None,
        max_decisions: int | None = None,
        full_action_space: bool = False,
        seed: int = 0,
        parallel: int = 1,
        save_dir: str | Path = "runs",
        run_folder: str | Path | None = None,
        base_url: str | None = None,
        model: Model | None = None,
        watch: Watcher | None = None,
    ) -> None:
        if frames_in_prompt is None:
            frames_in_prompt = min(2, frame_stack)
        _check_counts(
            num_examples=num_examples,
            frame_stack=frame_stack,
            frames_in_prompt=frames_in_prompt,
            frame_skip=frame_skip,
            max_decisions=1 if max_decisions is None else max_decisions,
            parallel=parallel,
        )
        _check_emulation(repeat_action_probability, frames_in_prompt, frame_stack, resize_shape)
        _whole("seed", seed, 0)
        self.game = get_game(game_name)
        self.save_dir, self.run_folder = Path(save_dir), run_folder and Path(run_folder)
        self.parallel, self.seed = parallel, seed
        self.limits = Limits(decisions=max_decisions)
        self._watch: Watcher = watch or (lambda episode, step: None)
        self._model: Model | None = None
        if model is not None or not is_player(vlm_type):
            self._model = model or build_model(
                vlm_type,
                api_key=api_key,
                base_url=base_url,
                temperature=temperature,
                max_tokens=max_tokens,
            )
        self._player = None if self._model else player(vlm_type, self.game.name)
        if self._player and (prompt_type or use_in_context_learning):
            raise InvalidSetting(f"The baseline {vlm_type!r} reads no prompt and learns nothing.")
        self.prompt_type = prompt_type or (self._model.prompt_type if self._model else "none")
        self._strategy: Strategy | None = None
        if self._model:
            self._strategy = get_strategy(
                self.prompt_type,
                PromptSettings(
                    history=history,
                    frames=frames_in_prompt,
                    plans=plans,
                    image_size=resize_shape,
                ),
            )
        if use_in_context_learning is None:
            use_in_context_learning = self.learns_in_context
        if use_in_context_learning and not self.learns_in_context:
            raise InvalidSetting(
                "The 'specialist' prompt shows no examples, so nothing would be learned in "
                "context; use the prompt basic, cot, expert or adaptive, and a model that reads it."
            )
        self._learner: Learner | None = None
        if use_in_context_learning:
            self._learner = BestMoments(num_examples)
        elif self.prompt_type == "adaptive":
            self._learner = Progress()
        learner = self._learner.name if self._learner else None
        self.settings: dict[str, Any] = {
            "game": self.game.name,
            "model": vlm_type,
            "base_url": _host(base_url),
            "prompt": self.prompt_type,
            "learner": f"{learner} x{num_examples}" if use_in_context_learning else learner,
            "frame_stack": frame_stack,
            "frames_in_prompt": frames_in_prompt,
            "resize_shape": list(resize_shape) if resize_shape else None,
            "frame_skip": frame_skip,
            "repeat_action_probability": repeat_action_probability,
            "plans": plans,
            "history": history,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "max_decisions": max_decisions,
            "max_frames": self.limits.frames,
            "full_action_space": full_action_space,
            "parallel": parallel if self._learner else None,
        }

    @property
    def learns_in_context(self) -> bool:
        """Whether the prompt can show examples of earlier play."""
        return self.prompt_type not in ("specialist", "none")

    # -- the three verbs ------------------------------------------------------------------------

    def train(self, num_episodes: int = 10) -> Summary:
        """Play until the run has `num_episodes`; with in-context learning, each teaches the next.

        Raises:
            ModelUnusable: a wrong key, an unreachable server, ...; call again to continue.
            RunInvalid: the model kept naming no legal action.
        """
        _whole("num_episodes", num_episodes, 1)
        return self._play("train", self._seeds(0, num_episodes), self._learner)

    def evaluate(self, num_episodes: int = 5) -> Summary:
        """Play `num_episodes` on seeds never trained on, with what training taught, unchanged."""
        _whole("num_episodes", num_episodes, 1)
        return self._play("evaluate", self._seeds(EVALUATION, num_episodes), None)

    def run_episode(self, seed: int | None = None) -> Trajectory:
        """Play one episode and return its record; its frames are in the run folder's replay.

        Args:
            seed: of the emulator; None for the first seed of the trainer.
        """
        seeds = [self.seed * 1_000_000 if seed is None else seed]
        summary = self._play("episode", seeds, None)
        run = Run.read(summary.folder)
        try:
            return run.trajectory(0)
        finally:
            run.close()

    def unplayed_seed(self, num_episodes: int) -> int:
        """The first seed, from the trainer's own on, whose training run is not complete yet."""
        seed = self.seed
        while self._complete(self.folder("train", seed * 1_000_000), num_episodes):
            seed += 1
        return seed

    def _complete(self, folder: Path, num_episodes: int) -> bool:
        if not (folder / FILE).exists():
            return False
        run = Run.read(folder)
        try:
            finished = [row for row in run.episodes() if row.status == "finished"]
            return len(finished) >= num_episodes
        finally:
            run.close()

    def folder(self, purpose: str, seeds_start: int) -> Path:
        """Where a run of these settings lives."""
        if self.run_folder:
            return self.run_folder if purpose == "train" else self.run_folder / purpose
        settings = {**self.settings, "base_url": None}  # a server may move
        identity = json.dumps([settings, purpose, seeds_start], sort_keys=True)
        tail = hashlib.sha256(identity.encode()).hexdigest()[:8]
        model = "".join(c if c.isalnum() or c in "-._" else "-" for c in self.settings["model"])
        return self.save_dir / f"{self.game.name}-{model}-{self.prompt_type}-{purpose}-{tail}"

    # -- how ------------------------------------------------------------------------------------

    def _seeds(self, offset: int, count: int) -> list[int]:
        return [self.seed * 1_000_000 + offset + k for k in range(count)]

    def _play(self, purpose: str, seeds: Sequence[int], learner: Learner | None) -> Summary:
        start = time.monotonic()
        settings = {
            **self.settings,
            "purpose": purpose,
            "first_seed": seeds[0],
            "ale_py": version("ale-py"),
            "atari_vlm": version("atari-vlm"),
            "python": platform.python_version(),
        }
        taught = self._taught() if purpose != "train" else None
        if taught is not None:
            settings["taught_by_episodes"] = taught.episodes
        run = Run.play(self.folder(purpose, seeds[0]), settings)
        before = sum(run.sources().values())
        try:
            plan = Plan(
                policy=self._policy(run, taught),
                seeds=seeds,
                limits=self.limits,
                learner=learner,
                parallel=self.parallel,
            )
            asyncio.run(self._until_done(run, plan))
            return self._summary(run, before, time.monotonic() - start)
        finally:
            run.close()

    async def _until_done(self, run: Run, plan: Plan) -> None:
        try:
            await play(run, plan, self._watch)
        finally:
            if self._model:
                await self._model.close()

    def _taught(self) -> Lessons | None:
        """What the training run with these settings taught, if there is one."""
        folder = self.folder("train", self._seeds(0, 1)[0])
        if self._learner is None or not (folder / FILE).exists():
            return None
        run = Run.read(folder)
        try:
            finished = [row.episode for row in run.episodes() if row.status == "finished"]
            return self._learner.learn([run.trajectory(k) for k in finished], pictures(run))
        finally:
            run.close()

    def _policy(self, run: Run, taught: Lessons | None) -> Callable[[Lessons], Policy]:
        if self._model is None or self._strategy is None:
            baseline = self._player
            assert baseline is not None
            return lambda lessons: baseline
        model, strategy = JournaledModel(self._model, run), self._strategy
        return lambda lessons: VLMPolicy(model, strategy, taught or lessons)

    def _summary(self, run: Run, before: int, seconds: float) -> Summary:
        sources = run.sources()
        return Summary(
            folder=run.folder,
            game=self.game,
            model=self.settings["model"],
            prompt=self.prompt_type,
            episodes=tuple(row for row in run.episodes() if row.status == "finished"),
            sources=sources,
            usage=run.usage(),
            seconds=seconds,
            played=sum(sources.values()) - before,
            privileges=tuple(sorted(self._player.privileges)) if self._player else (),
        )


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidSetting(f"{name} must be a whole number of at least {least}, not {value!r}.")


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        _whole(name, value, 1)


def _check_emulation(
    sticky: float, frames: int, stack: int, resize_shape: tuple[int, int] | None
) -> None:
    if not 0 <= sticky <= 1:
        raise InvalidSetting(f"repeat_action_probability is within 0 and 1, not {sticky}.")
    if frames > stack:
        raise InvalidSetting(
            f"A prompt cannot show {frames} frames of a stack of {stack}; raise frame_stack."
        )
    if resize_shape is not None:
        check_size(resize_shape)


def _host(url: str | None) -> str | None:
    """The server without what a URL may hide (user:password, tokens in the query)."""
    if url is None:
        return None
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


__all__ = ["Step", "Summary", "VLMTrainer"]
