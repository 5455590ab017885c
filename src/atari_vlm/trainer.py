"""`VLMTrainer`: one object that plays, learns from its best play, and evaluates."""

from __future__ import annotations

import asyncio
import hashlib
import json
import platform
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.random import default_rng

from atari_vlm import stats
from atari_vlm.advice.estimate import record_of
from atari_vlm.atari.games import Game
from atari_vlm.models.hosted.budget import Budget, Caps, Charge
from atari_vlm.models.hosted.cache import CacheMode
from atari_vlm.models.hosted.options import Hosting
from atari_vlm.models.hosted.vendors import Detail, Effort
from atari_vlm.players import Options, prepare, whole
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import EpisodeRow, Run
from atari_vlm.runs.runner import Plan, Watcher, play
from atari_vlm.types import Lessons, Model, Step, Trajectory, Usage

EVALUATION = 500_000
"""Offset that keeps the seeds of evaluation apart from those of training."""

MOST_SEEDS = 10**12
"""Seeds of a trainer; each stands for a million emulator seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run came to."""

    folder: Path
    game: Game
    model: str
    prompt: str
    settings: dict[str, Any]
    """Everything that decided what was played, as the run folder keeps it."""
    episodes: tuple[EpisodeRow, ...]
    """The finished episodes, in order."""
    sources: dict[str, int]
    """Decisions by how they came about; see `types.Source`."""
    usage: Usage
    seconds: float
    """Wall-clock time of this call; less than the play where a run was resumed."""
    played: int
    """Decisions made in this call; 0 when the run was complete before."""
    taught_by: int | None = None
    """Training episodes whose lessons were shown unchanged; None where that is not asked."""
    privileges: tuple[str, ...] = ()
    """What the player read beyond the screen; empty for honest players."""

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each finished episode."""
        return tuple(row.score for row in self.episodes if row.score is not None)

    @property
    def cut(self) -> int:
        """Episodes that a budget ended before the game did."""
        return sum(row.cut for row in self.episodes)

    @property
    def mean(self) -> stats.Interval:
        """Mean score with its bootstrap 95% interval (10,000 resamples, fixed seed)."""
        return stats.bootstrap(self.scores, rng=default_rng(0))

    @property
    def human_normalised(self) -> float | None:
        """0 plays like random, 1 like the human tester.

        None where the table has no such game, or where games were cut short by `max_decisions` or
        by a budget.
        """
        if self.settings.get("max_decisions") is not None or self.cut:
            return None
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
        prompt_type: "basic", "cot", "expert", "adaptive" or "embedded"; None for the model's own.
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
        history: how many recent actions the prompt lists; None for 8.
        temperature: sampling temperature; None for the model's own.
        max_tokens: longest answer; None for the model's own.
        decisions_per_call: how many decisions the model plans in one answer; the rest are played
            without asking it, until a life is lost.
        max_decisions: end episodes after this many decisions (truncated); None for whole games.
        full_action_space: all 18 actions instead of the game's minimal set.
        seed: first seed; episode k of a run uses 1,000,000 * seed + k.
        parallel: episodes played at the same time.
        save_dir: where run folders go.
        run_folder: exactly this folder instead of one named after the settings.
        base_url: an OpenAI-compatible server (vLLM, SGLang, Ollama, llama.cpp, ...).
        dialect: what kind of server that is, which decides how an answer is held to legal actions:
            "vllm", "sglang", "lmdeploy", "ollama", "llamacpp", "transformers-serve",
            "openrouter" or "generic".
        effort: how long a reasoning model thinks: "low", "medium" or "high".
        detail: how closely the vendor looks at pictures: "auto", "low" or "high".
        timeout: seconds to wait for one answer.
        rpm: most requests a minute, over all that this process asks of the account.
        concurrency: most requests at the same time, likewise.
        cache: file of answers, which any number of runs may share.
        cache_mode: "readwrite", "replay" (never asks, needs no key, costs nothing), "refresh" or
            "off"; None for "readwrite" where a file is named.
        cache_share: equal states get equal answers; otherwise only the same call of a rerun does.
        budget: most US dollars of a run; it stops there and continues with a higher one.
        budget_episode: most US dollars of an episode, which is then cut short.
        budget_tokens: most tokens of a run, read and written.
        decide: "words" plays what the model writes; "score" rates every legal answer in one forward
            pass and takes the likeliest, or with a `temperature` draws one (embedded and local
            models only).
        quantize: hold the weights of a model in this process in "4bit", "8bit" or "int8".
        attention: its attention: "sdpa", "eager", "flash_attention_2" (else sdpa, which it says).
        dtype: its numbers: "float32", "bfloat16", "float16", "auto".
        device: where it is: "cpu", "cuda", "cuda:1", "auto" over all GPUs.
        threads: its threads on a CPU.
        video: show it several screens as one video, where its family takes one; None for what the
            family was made for.
        trust_remote_code: the folder, or ORG/NAME@COMMIT, whose own Python code may run; only a
            model of exactly that name is then loaded with its code.
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
        history: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        max_decisions: int | None = None,
        full_action_space: bool = False,
        decisions_per_call: int = 1,
        seed: int = 0,
        parallel: int = 1,
        save_dir: str | Path = "runs",
        run_folder: str | Path | None = None,
        base_url: str | None = None,
        dialect: str | None = None,
        effort: Effort | None = None,
        detail: Detail | None = None,
        timeout: float | None = None,
        rpm: float | None = None,
        concurrency: int | None = None,
        cache: str | Path | None = None,
        cache_mode: CacheMode | None = None,
        cache_share: bool = False,
        budget: float | None = None,
        budget_episode: float | None = None,
        budget_tokens: int | None = None,
        decide: str = "words",
        quantize: str | None = None,
        attention: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        video: bool | None = None,
        trust_remote_code: str | None = None,
        model: Model | None = None,
        watch: Watcher | None = None,
    ) -> None:
        whole("seed", seed, 0, MOST_SEEDS)
        options = Options(
            num_examples=num_examples,
            frame_stack=frame_stack,
            frames_in_prompt=frames_in_prompt,
            resize_shape=resize_shape,
            frame_skip=frame_skip,
            repeat_action_probability=repeat_action_probability,
            plans=plans,
            history=history,
            temperature=temperature,
            max_tokens=max_tokens,
            max_decisions=max_decisions,
            full_action_space=full_action_space,
            parallel=parallel,
            decisions_per_call=decisions_per_call,
            hosting=Hosting(
                dialect=dialect,
                effort=effort,
                detail=detail,
                timeout=timeout,
                rpm=rpm,
                concurrency=concurrency,
                cache=cache,
                cache_mode=cache_mode,
                cache_share=cache_share,
                budget=budget,
                budget_episode=budget_episode,
                budget_tokens=budget_tokens,
            ),
        )
        self._caps = options.hosting.caps
        self.experiment = prepare(
            game_name,
            vlm_type,
            options,
            api_key=api_key,
            prompt_type=prompt_type,
            learn=use_in_context_learning,
            base_url=base_url,
            decide=decide,
            local={
                "quantize": quantize,
                "attention": attention,
                "dtype": dtype,
                "device": device,
                "threads": threads,
                "video": video,
                "trust_remote_code": trust_remote_code,
            },
            model=model,
        )
        self.save_dir, self.run_folder = Path(save_dir), run_folder and Path(run_folder)
        self.parallel, self.seed = parallel, seed
        self._watch: Watcher = watch or (lambda episode, step: None)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides what is played, as the run folder keeps it; never a key."""
        return self.experiment.settings

    # -- the three verbs ------------------------------------------------------------------------

    def train(self, num_episodes: int = 10) -> Summary:
        """Play until the run has `num_episodes`; with in-context learning, each teaches the next.

        Raises:
            ModelUnusable: a wrong key, an unreachable server, ...; call again to continue.
            BudgetExceeded: the run may spend no more; call again with a higher cap to continue.
            RunInvalid: the model kept naming no legal action.
        """
        seeds = self._seeds(0, num_episodes)
        return self._play(self.folder("train", seeds[0]), "train", seeds, None)

    def evaluate(self, num_episodes: int = 5) -> Summary:
        """Play `num_episodes` on seeds never trained on, with what training taught, unchanged.

        With in-context learning and nothing trained yet, nothing was taught, and
        `Summary.taught_by` says 0.
        """
        seeds = self._seeds(EVALUATION, num_episodes)
        return self._play_taught("evaluate", seeds)

    def run_episode(self, seed: int | None = None) -> Trajectory:
        """Play one episode and return its record; its frames are in the run folder's replay.

        Args:
            seed: of the emulator; None for the first seed of the trainer.
        """
        if seed is not None:
            whole("seed", seed, 0, 2**62)
        summary = self._play_taught("episode", self._seeds(0, 1) if seed is None else [seed])
        run = Run.read(summary.folder)
        try:
            return run.trajectory(0)
        finally:
            run.close()

    def unplayed_seed(self, num_episodes: int) -> int:
        """The first seed, from the trainer's own on, whose training run can still be played."""
        seed = self.seed
        while self._ended(self.folder("train", seed * 1_000_000), num_episodes):
            seed += 1
        return seed

    def folder(self, purpose: str, first_seed: int, taught: int | None = None) -> Path:
        """Where a run of these settings lives; `taught`: by how many episodes."""
        after = "" if taught is None else f"-after-{taught}"
        if self.run_folder:
            return self.run_folder if purpose == "train" else self.run_folder / (purpose + after)
        settings = {**self.settings, "base_url": None}  # a server may move
        identity = json.dumps([settings, purpose, first_seed], sort_keys=True)
        tail = hashlib.sha256(identity.encode()).hexdigest()[:8]
        model = "".join(c if c.isalnum() or c in "-._" else "-" for c in self.settings["model"])
        prompt = f"-{self.settings['prompt']}" if self.experiment.model else ""
        name = f"{self.settings['game']}-{model[-60:]}{prompt}-{purpose}{after}"
        return self.save_dir / f"{name}-{tail}"

    # -- how ------------------------------------------------------------------------------------

    def _seeds(self, offset: int, count: int) -> list[int]:
        whole("num_episodes", count, 1, EVALUATION)
        return [self.seed * 1_000_000 + offset + k for k in range(count)]

    def _play_taught(self, purpose: str, seeds: Sequence[int]) -> Summary:
        """Play with the lessons of the training run, which stay as they are."""
        learner = self.experiment.learner
        if learner is None:
            return self._play(self.folder(purpose, seeds[0]), purpose, seeds, None)
        source = self.folder("train", self.seed * 1_000_000)
        if not Run.exists(source):
            folder = self.folder(purpose, seeds[0], 0)
            return self._play(folder, purpose, seeds, Lessons())
        run = Run.read(source)
        try:
            finished = [row.episode for row in run.episodes() if row.status == "finished"]
            lessons = learner.learn([run.trajectory(k) for k in finished], pictures(run))
        finally:
            run.close()
        return self._play(self.folder(purpose, seeds[0], lessons.episodes), purpose, seeds, lessons)

    def _play(
        self, folder: Path, purpose: str, seeds: Sequence[int], taught: Lessons | None
    ) -> Summary:
        start = time.monotonic()
        settings = {
            **self.settings,
            "purpose": purpose,
            "first_seed": seeds[0],
            "taught_by_episodes": taught.episodes if taught else None,
            "ale_py": version("ale-py"),
            "atari_vlm": version("atari-vlm"),
            "python": platform.python_version(),
            "estimate": record_of(self.experiment),
        }
        run = Run.play(folder, settings)
        before = sum(run.sources().values())
        try:
            plan = Plan(
                policy=self.experiment.policy(run, _adopted(run, taught)),
                seeds=seeds,
                limits=self.experiment.limits,
                learner=self.experiment.learner if purpose == "train" else None,
                parallel=self.parallel,
                budget=_budget(self._caps, run),
            )
            _wait_for(self._until_done(run, plan))
            return self._summary(run, before, time.monotonic() - start)
        finally:
            run.close()

    async def _until_done(self, run: Run, plan: Plan) -> None:
        try:
            await play(run, plan, self._watch)
        finally:
            if self.experiment.model:
                await self.experiment.model.close()

    def _ended(self, folder: Path, num_episodes: int) -> bool:
        if not Run.exists(folder):
            return False
        run = Run.read(folder)
        try:
            status = [row.status for row in run.episodes()]
            return status.count("finished") >= num_episodes or "invalid" in status
        finally:
            run.close()

    def _summary(self, run: Run, before: int, seconds: float) -> Summary:
        sources = run.sources()
        taught = run.settings.get("taught_by_episodes")
        return Summary(
            folder=run.folder,
            game=self.experiment.game,
            model=self.settings["model"],
            prompt=self.settings["prompt"],
            settings=dict(run.settings),
            episodes=tuple(row for row in run.episodes() if row.status == "finished"),
            sources=sources,
            usage=run.usage(),
            seconds=seconds,
            played=sum(sources.values()) - before,
            taught_by=taught if isinstance(taught, int) else None,
            privileges=self.experiment.privileges,
        )


def _budget(caps: Caps, run: Run) -> Budget:
    """What is left of the caps after what the run has spent already."""
    spent = Charge(*run.spent()) if caps else Charge()
    return Budget(caps, spent, lambda episode: Charge(*run.spent(episode)), run.write_off)


def _adopted(run: Run, taught: Lessons | None) -> Lessons | None:
    """The lessons with their pictures kept in the run that shows them."""
    if taught is None:
        return None
    examples = tuple(
        replace(example, frame=example.frame and run.adopt(example.frame))
        for example in taught.examples
    )
    return replace(taught, examples=examples)


def _wait_for(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; in a thread where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


__all__ = ["Step", "Summary", "VLMTrainer"]
