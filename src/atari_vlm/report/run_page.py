"""The replay page of a run folder: calls come from the record, screens from replaying the plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from atari_vlm.atari.games import get_game
from atari_vlm.costs.bill import compare
from atari_vlm.errors import StoreError
from atari_vlm.policies.registry import get_policy, is_policy
from atari_vlm.protocols import privileges_of
from atari_vlm.report.render import write
from atari_vlm.report.replay import (
    Replay,
    ReplayCall,
    ReplayChoice,
    ReplayDecision,
    ReplayEpisode,
    ReplayMessage,
)
from atari_vlm.runs.playback import observations
from atari_vlm.runs.run import EpisodeRow, Run
from atari_vlm.stats import format_score
from atari_vlm.types import Call, Decision, Frame, Message, Pixels, Step

MOST_DECISIONS = 60_000
"""Decisions in a page by default, about 20 MB. The page names the episodes it has."""


def write_replay(
    folder: Path, out: Path | None = None, *, episodes: Sequence[int] | None = None
) -> Path:
    """Write the replay page of a run, which may still be playing.

    Args:
        folder: the run.
        out: the file, replaced whole; None for replay.html in the run's folder.
        episodes: numbers of the episodes to show; None for all, up to `MOST_DECISIONS`.

    Returns:
        The file.

    Raises:
        StoreError: there is no run or no such episode, replaying the run gives other screens, or
            the file cannot be written.
        InvalidSetting: nothing has been played yet.
    """
    path = out or folder / "replay.html"
    run = Run.read(folder)
    try:
        write(replay_of(run, episodes=episodes), path)
    finally:
        run.close()
    return path


def replay_of(
    run: Run, *, episodes: Sequence[int] | None = None, most: int = MOST_DECISIONS
) -> Replay:
    """What a page shows of a run. Its screens are drawn when the page is rendered.

    Args:
        run: an open run.
        episodes: numbers of the episodes to show; None for all.
        most: without `episodes`, further episodes are left out after this many decisions.
    """
    game, model = get_game(str(run.settings["game"])), str(run.settings["model"])
    prompt = run.settings.get("prompt")
    begun = run.episodes()
    rows = _chosen(run, begun, episodes, most)
    return Replay(
        title=f"{game.cartridge} · {model}",
        game=game.cartridge,
        policy="" if prompt in (None, "none") else f"{prompt} prompt",
        model=model,
        settings={
            name: str(value)
            for name, value in run.settings.items()
            if value not in (None, "") and name != "estimate"
        },
        facts=_facts(run, begun, rows),
        random_score=game.random_score,
        human_score=game.human_score,
        standard=game.standard,
        episodes=[_episode(run, row) for row in rows],
        stored_screens=[(key, frame.pixels) for key, frame in run.adopted().items()],
    )


def _chosen(
    run: Run, begun: Sequence[EpisodeRow], asked: Sequence[int] | None, most: int
) -> list[EpisodeRow]:
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


def _facts(
    run: Run, begun: Sequence[EpisodeRow], shown: Sequence[EpisodeRow]
) -> list[tuple[str, str]]:
    scores = [row.score for row in begun if row.status == "finished" and row.score is not None]
    facts = [("Folder", run.folder.name)]
    if scores:
        mean = sum(scores) / len(scores)
        facts.append(("Mean score", f"{format_score(mean)} over {len(scores)} finished episodes"))
    if len(shown) < len(begun):
        numbers = ", ".join(str(row.episode) for row in shown)
        facts.append(("In this page", f"episode {numbers}, of {len(begun)} in the run"))
    if compared := compare(run.settings, sum(run.sources().values()), run.usage()):
        facts += compared.lines()
    privileges = _privileges(run)
    if privileges or run.settings.get("prompt") == "none":
        facts.append(("Reads beyond the screen", ", ".join(privileges) or "nothing"))
    return facts


def _privileges(run: Run) -> list[str]:
    """What the player reads beyond the screen; computed for older runs, which lack it."""
    recorded, name = run.settings.get("privileges"), str(run.settings["model"])
    if isinstance(recorded, list):
        return recorded
    if not is_policy(name):
        return []
    return sorted(privileges_of(get_policy(name, str(run.settings["game"]))))


def _episode(run: Run, row: EpisodeRow) -> ReplayEpisode:
    # A run that is still playing grows between these reads; the shortest list is complete.
    decided, rewards = run.decisions(row.episode), run.rewards(row.episode)
    steps = run.trajectory(row.episode).steps
    decisions = [
        _decision(decision, reward, step)
        for decision, reward, step in zip(decided, rewards, steps, strict=False)
    ]
    stopped = bool(decisions) and decisions[-1].reward is None
    places = len(decisions) + (not stopped)

    def screens() -> Iterator[Pixels]:
        seen = islice(observations(run, row.episode), places)
        return (observation.frames[-1].pixels for observation in seen)

    last = steps[len(decisions) - 1] if decisions else None
    return ReplayEpisode(
        number=row.episode,
        seed=row.seed,
        status=_status(row, last, run.settings),
        whole=bool(
            last
            and not row.cut
            and (last.terminated or (last.truncated and not _capped(run.settings)))
        ),
        score=sum(decision.reward or 0.0 for decision in decisions),
        decisions=decisions,
        screens=screens,
    )


def _capped(settings: dict[str, Any]) -> bool:
    return settings.get("max_decisions") is not None


def _status(row: EpisodeRow, last: Step | None, settings: dict[str, Any]) -> str:
    if row.status == "invalid":
        return f"invalid: {row.message}"
    if row.status != "finished" or last is None:
        return "not finished"
    if last.terminated:
        return "game over"
    if row.cut:
        return f"cut short: {row.message}"
    return (
        f"cut short after {settings['max_decisions']} decisions"
        if _capped(settings)
        else (f"time limit of {settings['max_frames']} frames")
    )


def _decision(decision: Decision, reward: float | None, step: Step) -> ReplayDecision:
    seen = step.observation
    return ReplayDecision(
        **vars(_choice(decision)),
        interval=seen.interval,
        reward=reward,
        score=seen.score,
        lives=seen.lives,
    )


def _choice(decision: Decision) -> ReplayChoice:
    return ReplayChoice(
        action=decision.action,
        frames=decision.frames,
        source=decision.source,
        reason=decision.reason,
        memory=decision.memory,
        queue=", ".join(f"{plan.action} x{plan.frames}" for plan in decision.queue),
        calls=tuple(_call(call) for call in decision.calls),
        considered=tuple(_choice(other) for other in decision.considered),
    )


def _call(call: Call) -> ReplayCall:
    reply, usage = call.reply, call.reply.usage
    return ReplayCall(
        messages=tuple(_message(message) for message in call.prompt.messages),
        image_size=call.prompt.image_size,
        reply=reply.text,
        thinking=reply.thinking,
        model=reply.model,
        request_id=reply.request_id,
        fault=call.fault,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        dollars=usage.dollars,
        uncertain_dollars=usage.uncertain_dollars if usage.uncertain else 0.0,
        replayed=bool(usage.replayed),
        seconds=usage.seconds,
    )


def _message(message: Message) -> ReplayMessage:
    parts = tuple(
        (part.episode, part.step) if isinstance(part, Frame) else part for part in message.parts
    )
    return ReplayMessage(role=message.role, parts=parts)
