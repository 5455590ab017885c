"""The episodes of a run as a page shows them: read from its record, screens replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from atari_vlm.learning.reflection.listing import marks
from atari_vlm.policies.ablations import ABLATIONS
from atari_vlm.report.drawing import Draw, Film
from atari_vlm.report.replay import (
    FrameRef,
    ReplayCall,
    ReplayChoice,
    ReplayDecision,
    ReplayEpisode,
    ReplayLesson,
    ReplayMessage,
    StoredScreen,
)
from atari_vlm.runs.playback import recording
from atari_vlm.runs.run import FOREIGN, EpisodeRow, Run
from atari_vlm.runs.runner import LAST_ANSWER
from atari_vlm.stats import counted
from atari_vlm.types import Call, Decision, Frame, Message, Step

APART = 500_000
"""Distance between the episode numbers of the runs in one page."""

_NO_PIXELS = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class PlayedRun:
    """A run and its place in a page.

    Args:
        run: open.
        place: 0 for the run of the page, from 1 on for evaluations shown beside it.
        phase: heading of its episodes.
        title: their name before their number; empty for the number alone.
    """

    run: Run
    place: int = 0
    phase: str = ""
    title: str = ""

    def number(self, episode: int) -> int:
        """The number in the page of an episode of the run."""
        return episode + (self.place if episode >= 0 else -FOREIGN * self.place) * APART

    def stored_screens(self) -> list[StoredScreen]:
        """Screens in its prompts that replaying it does not show."""
        return [
            StoredScreen(
                frame=(self.number(episode), step),
                pixels=frame.pixels,
                name=self._name(episode, step),
            )
            for (episode, step), frame in self.run.adopted().items()
        ]

    def _name(self, episode: int, step: int) -> str:
        """What a screen is that this run did not show."""
        _, *wrappers = str(self.run.settings["model"]).split("+")
        if any(wrapper.split(":")[0] in ABLATIONS for wrapper in wrappers):
            return "shown in place of the screen"
        if self.run.settings.get("taught_by_episodes"):
            return f"training episode {(-1 - episode) % FOREIGN}, decision {step}"
        return "not a screen of this run"

    def film(self, row: EpisodeRow) -> Film:
        """The screens of one of its episodes."""
        return Film(recording(self.run, row.episode))

    def episode(self, row: EpisodeRow, film: Film, draw: Draw | None = None) -> ReplayEpisode:
        """One of its episodes.

        Args:
            row: of the episode.
            film: of the episode.
            draw: gives the packed screens of the film.
        """
        run = self.run
        # A run that is still playing grows between these reads; the shortest list is complete.
        decided, rewards = run.decisions(row.episode), run.rewards(row.episode)
        steps = run.trajectory(row.episode).steps
        decisions = [
            self._decision(decision, reward, step, stuck)
            for decision, reward, step, stuck, _ in zip(
                decided, rewards, steps, run.stuck(row.episode), film.record.plays, strict=False
            )
        ]
        last = steps[len(decisions) - 1] if decisions else None
        return ReplayEpisode(
            number=self.number(row.episode),
            name=f"{self.title} {row.episode}".strip(),
            phase=self.phase,
            lessons=self._lessons(row.episode),
            invalid=_why_invalid(row),
            seed=row.seed,
            status=_status(row, last, run.settings),
            whole=bool(
                last
                and not row.cut
                and (last.terminated or (last.truncated and not _capped(run.settings)))
            ),
            score=sum(decision.reward or 0.0 for decision in decisions),
            decisions=decisions,
            screens=film.screens,
            packed=partial(draw, film) if draw else None,
        )

    def _decision(
        self, decision: Decision, reward: float | None, step: Step, stuck: str
    ) -> ReplayDecision:
        seen = step.observation
        return ReplayDecision(
            **vars(self._choice(decision)),
            interval=seen.interval,
            reward=reward,
            score=seen.score,
            lives=seen.lives,
            stuck=stuck,
            thinking=decision.thinking,
        )

    def _choice(self, decision: Decision) -> ReplayChoice:
        return ReplayChoice(
            action=decision.action,
            frames=decision.frames,
            source=decision.source,
            reason=decision.reason,
            memory=decision.memory,
            queue=", ".join(f"{plan.action} x{plan.frames}" for plan in decision.queue),
            calls=tuple(self._call(call) for call in decision.calls),
            considered=tuple(self._choice(other) for other in decision.considered),
        )

    def _call(self, call: Call) -> ReplayCall:
        reply, usage = call.reply, call.reply.usage
        return ReplayCall(
            messages=tuple(self._message(message) for message in call.prompt.messages),
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

    def _message(self, message: Message) -> ReplayMessage:
        parts = tuple(
            self._place(part) if isinstance(part, Frame) else part for part in message.parts
        )
        return ReplayMessage(role=message.role, parts=parts)

    def _place(self, frame: Frame) -> FrameRef:
        return (self.number(frame.episode), frame.step)

    def _lessons(self, episode: int) -> Sequence[ReplayLesson]:
        """What the episode was played with: the newest lessons made for it or an earlier one."""

        def place(number: int, step: int) -> Frame:
            return Frame(_NO_PIXELS, number, step)

        if self.run.settings.get("learner") is None:
            return ()
        made = self.run.lessons_until(episode)
        lessons = None if made is None else self.run.lessons(made, place)
        if lessons is None:
            return ()
        examples = (
            ReplayLesson(
                text=each.text,
                frames=[self._place(frame) for frame in each.frames],
                source=each.source,
            )
            for each in lessons.examples
        )
        said, forbidden = marks(self.run, episode)
        advice = (ReplayLesson(text=words, mark=said(words)) for words in lessons.advice)
        gone = (ReplayLesson(text=words, mark="forbidden") for words in forbidden)
        return [*advice, *examples, *gone]


def _why_invalid(row: EpisodeRow) -> str:
    """Why an episode has no score, without the last answer, which the page quotes in full."""
    return row.message.partition(LAST_ANSWER)[0] if row.status == "invalid" else ""


def _capped(settings: dict[str, Any]) -> bool:
    return settings.get("max_decisions") is not None


def _status(row: EpisodeRow, last: Step | None, settings: dict[str, Any]) -> str:
    if row.status == "invalid":
        return "invalid"
    if row.status != "finished" or last is None:
        return "not finished"
    if last.terminated:
        return "game over"
    if row.cut:
        return f"cut short: {row.message}"
    return (
        f"cut short after {counted(settings['max_decisions'], 'decision')}"
        if _capped(settings)
        else (f"time limit of {settings['max_frames']} frames")
    )
