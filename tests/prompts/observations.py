"""Observations and histories for the tests of prompts."""

from functools import cache

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.types import Decision, Example, Frame, Lessons, Observation, Step


@cache
def legal_in(game):
    return Emulator(get_game(game)).legal


@cache
def screen(game):
    pixels = Emulator(get_game(game)).screen()
    pixels.flags.writeable = False
    return pixels


def observe(game, step, *, stack=4, interval=4, lives=0, score=0.0):
    """The observation before decision `step`; its stack is padded with the first frame."""
    steps = [max(0, step - back) for back in reversed(range(stack))]
    frames = {number: Frame(screen(game), episode=2, step=number) for number in set(steps)}
    return Observation(
        game=game,
        frames=tuple(frames[number] for number in steps),
        legal=legal_in(game),
        interval=interval,
        step=step,
        lives=lives,
        score=score,
    )


def moment(game):
    """An observation with a history: points, a life lost, an answer not understood, a note."""
    legal = legal_in(game)
    last = Decision(
        action=legal[-1], frames=4, source="parsed", memory="The left side is open:\n aim there."
    )
    played = [
        (3, 0.0, Decision(action=legal[1], frames=1, source="parsed")),
        (3, 4.0, Decision(action=legal[2], frames=2, source="parsed")),
        (3, -1.0, Decision(action=legal[2], frames=4, source="repaired")),
        (2, 0.0, Decision(action=legal[0], frames=4, source="fallback")),
        (2, 1.0, last),
    ]
    history = [
        Step(observation=observe(game, step, lives=lives), decision=decision, reward=reward)
        for step, (lives, reward, decision) in enumerate(played)
    ]
    lessons = Lessons(
        examples=(
            Example(
                "On this screen you went for the ball early and earned +4.", Frame(screen(game))
            ),
            Example("Waiting near the middle kept every way open."),
        ),
        advice=("Look where it is going, not where it is.", "Short pushes are enough."),
        episodes=3,
        mean_score=5.0,
    )
    return observe(game, 5, lives=2, score=4.0), history, lessons


def same_parts(one, other):
    """Equal words and the very same frames."""
    pairs = zip(one.messages, other.messages, strict=True)
    return all(a.role == b.role and a.parts == b.parts for a, b in pairs)
