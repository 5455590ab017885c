"""Replays of real emulator play for the tests of the replay page.

A scripted policy plays from RAM. Its prompts and replies are made up and marked TEST.
"""

from __future__ import annotations

from collections.abc import Callable

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.report.replay import (
    Replay,
    ReplayCall,
    ReplayChoice,
    ReplayDecision,
    ReplayEpisode,
    ReplayMessage,
)
from atari_vlm.types import Pixels, Plan

HOSTILE = (
    'TEST </script><img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
    "<!-- <script> --> &lt;b&gt; ]]> \u2028\u2029 \u202eright to left\u202c \x00 \ud800 end"
)
FENCED = """```json
{"reasoning": "TEST: first line\\nsecond <b>line</b>", "action": "NOOP", "frames": 4}
```"""
UNICODE = "TEST REPLY: Ünïcödé, 日本語, \U0001f47e, العربية. So DOWN for 2 frames."
SYSTEM = "\n".join(
    [
        "TEST PROMPT. You play an Atari game from its screen.",
        "",
        "Rules",
        *(f"{k}. This is rule {k} of the test prompt; it is the same every time." for k in (1, 2)),
        "- Points are given for what the game gives points for.",
        "- The screen is 160 pixels wide and 210 high.",
        "- A plan is an action and the number of frames it is held.",
        "- What is left of the interval is NOOP.",
        "",
        "Answer with one line: ACTION: <name> x<frames>.",
    ]
)
INTERVAL = 4


def follow_ball(ram: Pixels, game: str) -> Plan:
    """A plan that follows the ball."""
    if game == "pong":
        ball, paddle = int(ram[54]), int(ram[51])
        gap = ball - paddle - 4
        if not ball or abs(gap) < 4:
            return Plan("NOOP", INTERVAL)
        return Plan("RIGHT" if gap < 0 else "LEFT", min(INTERVAL, abs(gap) // 6 + 1))
    ball, paddle = int(ram[99]), int(ram[72]) + 6
    if not ram[101]:
        return Plan("FIRE", 1)
    if abs(ball - paddle) < 5:
        return Plan("NOOP", INTERVAL)
    return Plan("RIGHT" if ball > paddle else "LEFT", min(INTERVAL, abs(ball - paddle) // 5 + 1))


def call(step: int, episode: int, reply: str, **more: object) -> ReplayCall:
    """A made-up call about the two latest frames."""
    latest = [max(step - 1, 0), step]
    heading = f"Decision {step}. Oldest frame first:"
    size = (160, 210) if step % 2 else (84, 84)
    return ReplayCall(
        messages=(
            ReplayMessage(role="system", parts=(SYSTEM,)),
            ReplayMessage(
                role="user",
                parts=(
                    heading,
                    *((episode, k) for k in latest),
                    f"Score so far: test {step // 30}.\nLast actions: {step - 2}, {step - 1}.\n"
                    "What now?",
                ),
            ),
        ),
        image_size=size,
        reply=reply,
        model="test-model-1",
        input_tokens=900 + step % 7,
        output_tokens=24,
        dollars=0.0004,
        seconds=0.8 + (step * 37 % 11) / 10,
        **more,  # type: ignore[arg-type]
    )


def choose(step: int, episode: int, action: str, frames: int) -> ReplayChoice:
    """What the made-up model answers at a step; every source of a decision occurs."""
    plan = f"ACTION: {action} x{frames}"
    if step == 5:
        return ReplayChoice(
            action=action, frames=frames, source="parsed", calls=(call(step, episode, HOSTILE),)
        )
    if step % 61 == 20:
        fault = "The answer names no legal action."
        first = call(step, episode, "TEST REPLY: I would jump.", fault=fault)
        again = ReplayMessage(role="user", parts=(f"{fault} Choose from: NOOP, LEFT, RIGHT.",))
        answered = ReplayMessage(role="assistant", parts=(first.reply,))
        second = call(step, episode, plan, thinking="TEST REASONING: one of the list, then.")
        second = ReplayCall(**{**vars(second), "messages": (*first.messages, answered, again)})
        return ReplayChoice(
            action=action, frames=frames, source="repaired", reason=fault, calls=(first, second)
        )
    if step % 97 == 40:
        fault = "timeout: the server gave no answer within 60 s."
        return ReplayChoice(
            action="NOOP",
            frames=INTERVAL,
            source="fallback",
            reason=fault,
            calls=(call(step, episode, "", fault=fault),),
        )
    if step == 12:
        votes = tuple(
            ReplayChoice(
                action=name,
                frames=frames,
                source="parsed",
                calls=(call(step, episode, f"TEST VOTE {k}: {name}"),),
            )
            for k, name in enumerate((action, "NOOP", action))
        )
        return ReplayChoice(action=action, frames=frames, source="searched", considered=votes)
    if step == 14:
        return ReplayChoice(action=action, frames=frames, source="scripted")
    special = {7: UNICODE, 9: FENCED}
    reply = special.get(step, f"TEST REPLY {step}: following the ball. {plan}")
    memory = "TEST NOTE: stay near the middle." if step % 50 == 3 else ""
    return ReplayChoice(
        action=action,
        frames=frames,
        source="parsed",
        memory=memory,
        calls=(call(step, episode, reply),),
    )


def play(game: str, episode: int, seed: int, most: int) -> tuple[ReplayEpisode, list[Pixels]]:
    """Play on the emulator; the episode and its screens."""
    emulator = Emulator(get_game(game))
    emulator.reset(seed=seed)
    screens, decisions, score = [emulator.screen()], [], 0.0
    while len(decisions) < most and not emulator.terminated:
        action, frames = follow_ball(emulator.ram, game)
        choice = choose(len(decisions), episode, action, frames)
        lives = emulator.lives
        reward = emulator.play(emulator.legal.index(choice.action), choice.frames, INTERVAL)
        decisions.append(
            ReplayDecision(
                **vars(choice), interval=INTERVAL, reward=reward, score=score, lives=lives
            )
        )
        score += reward
        screens.append(emulator.screen())
    status = "game over" if emulator.terminated else f"cut short after {most} decisions"
    shown: Callable[[], list[Pixels]] = lambda: screens  # noqa: E731
    recorded = ReplayEpisode(
        number=episode,
        seed=seed,
        status=status,
        whole=emulator.terminated,
        score=score,
        decisions=decisions,
        screens=shown,
    )
    return recorded, screens


def recording(game: str, lengths: list[int]) -> tuple[Replay, list[list[Pixels]]]:
    """A replay of several episodes and, for each, its screens."""
    played = [play(game, 3 * k, 100 + k, most) for k, most in enumerate(lengths)]
    scores = {"pong": (-20.7, 14.6), "breakout": (1.7, 30.5)}[game]
    replay = Replay(
        title=f"{game.title()}, played by a test",
        game=game.title(),
        policy="expert prompt",
        model="test-model",
        settings={"sticky": "0.25", "frame_skip": "4", "note": "a <b>test</b>"},
        facts=[("Recorded by", "the tests")],
        random_score=scores[0],
        human_score=scores[1],
        episodes=[episode for episode, _ in played],
    )
    return replay, [screens for _, screens in played]
