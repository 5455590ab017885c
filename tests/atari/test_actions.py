"""What games.toml says of the actions of the twelve suggested games, played on the emulator.

Each claim starts from a moment that is reached without chance (no sticky actions), holds an action
there, and compares a byte of memory or the screen with what it was. The bytes are those that the
experts of `policies.experts` read.
"""

from __future__ import annotations

import asyncio
import re
from functools import cache

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import ACTIONS, GAMES, NOTHING, SUGGESTED, _game, get_game
from atari_vlm.env import AtariVLMEnvironment
from atari_vlm.policies.experts.table import EXPERTS
from atari_vlm.prompts.strategies import prompt_text
from atari_vlm.types import Step
from tests.prompts.observations import legal_in

MOMENTS = {
    "pong": [("NOOP", 120)],
    "breakout": [("NOOP", 20)],
    "space_invaders": [("NOOP", 200), ("RIGHT", 40)],
    "freeway": [("NOOP", 60), ("UP", 40)],
    "asteroids": [("NOOP", 60)],
    "ms_pacman": [("NOOP", 300), ("RIGHT", 50)],
    "qbert": [("NOOP", 200), ("DOWN", 24), ("NOOP", 20), ("RIGHT", 24), ("NOOP", 20)],
    "seaquest": [("NOOP", 120), ("DOWN", 60)],
    "enduro": [("NOOP", 60), ("FIRE", 200)],
    "montezuma_revenge": [("NOOP", 60), ("DOWN", 12)],
    "pitfall": [("NOOP", 60), ("RIGHT", 118), ("NOOP", 120), ("UP", 24)],
    "private_eye": [("NOOP", 60), ("RIGHT", 40)],
}
"""(action, frames) from the start of a game to a moment at which its actions can be told apart."""


@cache
def console(game: str, mode: int | None = None) -> Emulator:
    return Emulator(
        get_game(game), repeat_action_probability=0.0, full_action_space=True, mode=mode
    )


def hold(machine: Emulator, action: str, frames: int) -> None:
    machine.play(machine.legal.index(action), frames, frames)


def at(game: str, moment=None, mode: int | None = None) -> Emulator:
    machine = console(game, mode)
    machine.reset(seed=0)
    for action, frames in moment or MOMENTS[game]:
        hold(machine, action, frames)
    return machine


def change(game, byte, action, frames=20, *, moment=None, mode=None):
    """How much a byte grows from a moment of the game on while an action is held."""
    machine = at(game, moment, mode)
    start = int(machine.ram[byte])
    hold(machine, action, frames)
    return (int(machine.ram[byte]) - start + 128) % 256 - 128


def screen_after(machine, snapshot, action, frames=20):
    machine.restore(snapshot)
    hold(machine, action, frames)
    return machine.screen(pooled=False)


# --- the player moves as the table says ----------------------------------------------------------

GROUND = [("NOOP", 60)]
"""Montezuma's Revenge and Pitfall begin on firm ground."""

CLAIMS = [
    # game, action, what is said, byte, direction of its change
    ("pong", "RIGHT", "paddle up", 51, -1),
    ("pong", "LEFT", "paddle down", 51, 1),
    ("breakout", "RIGHT", "paddle right", 72, 1),
    ("breakout", "LEFT", "paddle left", 72, -1),
    ("space_invaders", "RIGHT", "cannon right", 28, 1),
    ("space_invaders", "LEFT", "cannon left", 28, -1),
    ("freeway", "UP", "walk up the screen", 14, 1),
    ("freeway", "DOWN", "walk back down", 14, -1),
    ("asteroids", "UP", "thrust forward", 74, -1),  # the nose points north
    ("asteroids", "LEFT", "turn counter-clockwise", 60, 1),
    ("ms_pacman", "LEFT", "turn left", 10, -1),
    ("ms_pacman", "RIGHT", "turn right", 10, 1),
    ("ms_pacman", "DOWN", "turn down", 16, 1),
    ("qbert", "UP", "hop up-right", 43, 1),
    ("qbert", "UP", "hop up-right", 67, -1),
    ("qbert", "RIGHT", "hop down-right", 43, 1),
    ("qbert", "RIGHT", "hop down-right", 67, 1),
    ("qbert", "LEFT", "hop up-left", 43, -1),
    ("qbert", "LEFT", "hop up-left", 67, -1),
    ("qbert", "DOWN", "hop down-left", 43, -1),
    ("qbert", "DOWN", "hop down-left", 67, 1),
    ("seaquest", "UP", "rise", 97, -1),
    ("seaquest", "DOWN", "dive", 97, 1),
    ("seaquest", "RIGHT", "move right", 70, 1),
    ("seaquest", "LEFT", "move left", 70, -1),
    ("enduro", "NOOP", "keep the speed", 22, 0),
    ("enduro", "FIRE", "accelerate", 22, 1),
    ("enduro", "DOWN", "brake", 22, -1),
    ("enduro", "RIGHT", "steer right", 46, -1),  # the road moves to the left
    ("enduro", "LEFT", "steer left", 46, 1),
    ("montezuma_revenge", "UP", "climb up", 43, 1),
    ("montezuma_revenge", "DOWN", "climb down", 43, -1),
    ("pitfall", "UP", "climb up a ladder", 105, -1),
    ("pitfall", "DOWN", "climb down or let go of a vine", 105, 1),
    ("private_eye", "NOOP", "roll on", 63, 1),
    ("private_eye", "RIGHT", "drive right", 63, 1),
    ("private_eye", "LEFT", "drive left", 63, -1),
    ("private_eye", "FIRE", "jump", 86, 1),
]
"""Game, action, what is said of it, a byte, and the sign of its change."""


@pytest.mark.parametrize(("game", "action", "said", "byte", "sign"), CLAIMS)
def test_an_action_does_what_is_said(game, action, said, byte, sign):
    assert get_game(game).actions[action] == said
    frames = 32 if game in ("qbert", "private_eye") else 16
    assert np.sign(change(game, byte, action, frames)) == sign


def test_in_pong_right_moves_the_green_paddle_up_and_left_down_on_the_screen():
    def height(action):
        machine = at("pong")
        hold(machine, action, 8)
        edge = machine.screen()[34:194, 141].astype(int)  # nothing but the paddle is there
        return np.flatnonzero(edge != np.bincount(edge).argmax()).mean()

    assert height("RIGHT") < height("NOOP") - 20 < height("LEFT") - 40


def test_in_pong_fire_held_at_contact_makes_the_return_faster():
    machine, faster, slower = at("pong"), 0, 0
    rng = np.random.default_rng(0)
    for _ in range(500):
        moment, speeds = machine.save(), []
        for action in ("NOOP", "FIRE"):
            machine.restore(moment)
            hold(machine, action, 14)
            before = int(machine.ram[49])
            hold(machine, "NOOP", 1)
            speeds.append(before - int(machine.ram[49]))
        faster += speeds[1] > speeds[0] > 0
        slower += 0 < speeds[1] < speeds[0]
        machine.restore(moment)
        hold(machine, str(rng.choice(["RIGHT", "LEFT", "NOOP"])), 4)
        if machine.terminated:
            break
    assert faster >= 2
    assert slower == 0


def test_in_breakout_fire_serves_the_ball():
    assert change("breakout", 101, "NOOP") == 0
    assert change("breakout", 101, "FIRE") != 0


def test_in_space_invaders_fire_shoots_up():
    machine = at("space_invaders")
    hold(machine, "FIRE", 4)
    first = int(machine.ram[85])
    hold(machine, "NOOP", 8)
    assert int(machine.ram[85]) < first < 100


def test_in_asteroids_the_ship_turns_shoots_and_jumps_through_hyperspace():
    def heading(action):
        machine = at("asteroids")
        start = int(machine.ram[60]) & 15
        hold(machine, action, 16)
        return ((int(machine.ram[60]) & 15) - start) % 16

    assert 0 < heading("LEFT") < 8 < heading("RIGHT")  # counted counter-clockwise
    machine = at("asteroids")
    place = int(machine.ram[73]), int(machine.ram[74])
    hold(machine, "DOWN", 4)
    assert machine.ram[74] == 224  # no ship
    hold(machine, "NOOP", 80)
    assert machine.ram[74] != 224
    assert (int(machine.ram[73]), int(machine.ram[74])) != place
    machine = at("asteroids")
    assert machine.ram[87] == 224  # no shot
    hold(machine, "FIRE", 8)
    assert machine.ram[87] != 224


def test_in_ms_pacman_she_keeps_going_and_turns_where_the_maze_is_open():
    assert change("ms_pacman", 10, "NOOP", 32) > 15
    assert change("ms_pacman", 16, "UP", 32) < 0 < change("ms_pacman", 10, "UP", 32)
    wall = [("NOOP", 300), ("RIGHT", 100)]
    assert change("ms_pacman", 16, "UPLEFT", 32, moment=wall) < 0
    assert change("ms_pacman", 10, "UPLEFT", 32, moment=wall) < 0
    assert change("ms_pacman", 16, "DOWNRIGHT", 32, moment=wall) > 0


def test_in_seaquest_the_torpedo_flies_the_way_the_submarine_faces():
    for facing, sign in (("RIGHT", 1), ("LEFT", -1)):
        machine = at("seaquest", [*MOMENTS["seaquest"], (facing, 4)])
        hold(machine, "FIRE", 2)
        first = int(machine.ram[103])
        hold(machine, "NOOP", 8)
        assert np.sign(int(machine.ram[103]) - first) == sign


@pytest.mark.parametrize(
    ("game", "across", "height", "up"), [("montezuma_revenge", 42, 43, 1), ("pitfall", 97, 105, -1)]
)
def test_on_firm_ground_he_walks_and_fire_jumps(game, across, height, up):
    assert change(game, across, "RIGHT", 8, moment=GROUND) > 0
    assert change(game, across, "LEFT", 8, moment=GROUND) < 0
    assert up * change(game, height, "FIRE", 8, moment=GROUND) > 0
    assert up * change(game, height, "RIGHTFIRE", 8, moment=GROUND) > 0
    assert change(game, across, "RIGHTFIRE", 8, moment=GROUND) > 0
    assert change(game, height, "FIRE", 60, moment=GROUND) == 0  # he lands where he was


def guided(game, decisions):
    """The environment after decisions of the game's expert, without sticky actions."""
    env = AtariVLMEnvironment(game, resize_shape=None, repeat_action_probability=0.0)
    env.begin(seed=0)
    history = []
    for step in range(decisions):
        seen = env.observe(frozenset({"ram"}))
        decision = asyncio.run(EXPERTS[game].decide(seen, history, np.random.default_rng(step)))
        reward = env.advance(seen.legal.index(decision.action), decision.frames)
        history = [Step(observation=seen, decision=decision, reward=reward)]
    return env.emulator


def test_in_pitfall_down_lets_go_of_the_vine():
    machine = guided("pitfall", 262)
    hanging, heights = machine.save(), {}
    for action in ("NOOP", "FIRE", "UP", "RIGHT", "DOWN"):
        machine.restore(hanging)
        hold(machine, action, 20)
        heights[action] = int(machine.ram[105])
    assert heights.pop("DOWN") == 32  # on the ground
    assert max(heights.values()) < 24


def test_in_private_eye_up_enters_a_side_street_and_down_backs_out_of_it():
    machine = guided("private_eye", 50)
    street = machine.save()
    assert machine.ram[92] == 1
    hold(machine, "UP", 100)
    assert machine.ram[92] == 19
    machine.restore(street)
    hold(machine, "UP", 24)
    hold(machine, "DOWN", 60)
    assert machine.ram[92] == 1
    assert machine.ram[86] < 21  # back on the road


# --- joint names, other actions, modes -----------------------------------------------------------


@pytest.mark.parametrize("game", SUGGESTED)
def test_actions_that_are_said_to_do_the_same_do_the_same(game):
    entry, machine, rng = get_game(game), at(game), np.random.default_rng(2)
    alike: dict[str, list[str]] = {NOTHING: ["NOOP"]}
    for action in ACTIONS[1:]:
        alike.setdefault(entry.meaning(action), []).append(action)
    for _ in range(5):
        moment = machine.save()
        for names in alike.values():
            first, *others = (screen_after(machine, moment, name) for name in names)
            assert all(np.array_equal(first, other) for other in others), names
        machine.restore(moment)
        for action in rng.choice(legal_in(game), 8):
            if not machine.terminated:
                hold(machine, str(action), 6)


@pytest.mark.parametrize(
    ("game", "joint"), [("enduro", "LEFTFIRE"), ("seaquest", "UPRIGHT"), ("asteroids", "UPLEFT")]
)
def test_a_joint_action_does_what_its_buttons_do(game, joint):
    moved = {"enduro": (22, 46), "seaquest": (97, 70), "asteroids": (74, 60)}[game]
    signs = {"enduro": (1, 1), "seaquest": (-1, 1), "asteroids": (-1, 1)}[game]
    assert tuple(np.sign(change(game, byte, joint)) for byte in moved) == signs


def test_every_minimal_action_of_the_suggested_games_has_a_meaning():
    for name in SUGGESTED:
        legal = legal_in(name)
        told = get_game(name).meanings(legal)
        assert set(told) >= {action for action in legal if _single(action)}
        assert all(get_game(name).meaning(action) for action in legal if action != "NOOP")
    assert {name for name, game in GAMES.items() if game.actions} == set(SUGGESTED)


def _single(action):
    return re.fullmatch("UP|RIGHT|LEFT|DOWN|FIRE", action) is not None


def test_the_console_has_these_eighteen_actions():
    assert console("pong").legal == ACTIONS


def test_where_down_is_no_hyperspace_nothing_is_said_of_asteroids():
    asteroids, legal = get_game("asteroids"), legal_in("asteroids")
    for mode, jumps in ((0, True), (7, True), (128, True), (8, False), (16, False), (31, False)):
        machine = at("asteroids", mode=mode)
        hold(machine, "DOWN", 8)
        assert (machine.ram[74] == 224) == jumps
        assert bool(asteroids.meanings(legal, mode)) == jumps
    other = AtariVLMEnvironment("asteroids", mode=16)
    assert "hyperspace to a random place" not in other.get_vlm_prompt("basic")


@pytest.mark.parametrize(
    ("game", "mode"), [("pong", 1), ("breakout", 44), ("space_invaders", 15), ("private_eye", 4)]
)
def test_the_meanings_hold_in_other_modes(game, mode):
    for each, action, _, byte, sign in CLAIMS:
        if each == game:
            frames = 32 if game == "private_eye" else 16
            assert np.sign(change(game, byte, action, frames, mode=mode)) == sign


# --- what is said of a list of actions -----------------------------------------------------------


@pytest.mark.parametrize("kind", ["basic", "cot", "expert", "adaptive"])
@pytest.mark.parametrize("game", SUGGESTED)
def test_every_prompt_says_what_each_legal_action_does(game, kind):
    entry = get_game(game)
    for legal in (legal_in(game), ACTIONS):
        text = prompt_text(game, kind, legal)
        (line,) = [line for line in text.splitlines() if line.startswith("What they do: ")]
        for name, done in entry.meanings(legal).items():
            assert re.search(rf"\b{name}\b[^:;]*: {re.escape(done)}[;.]", line)
        assert ("joint names" in line) == any(
            not _single(name) and name not in ("NOOP", *entry.actions) for name in legal
        )
        assert len(line.split()) < 60


def test_nothing_is_said_of_actions_that_a_wrapper_renamed():
    pong = get_game("pong")
    renamed = ("NOOP", "FIRE", "UP", "DOWN", "UPFIRE", "DOWNFIRE")
    mirrored = ("NOOP", "FIRE", "LEFT", "RIGHT", "LEFTFIRE", "RIGHTFIRE")
    for legal in (renamed, mirrored, ("a", "b"), ("LEFT", "LEFT"), tuple(reversed(ACTIONS))):
        assert pong.meanings(legal) == {}
        assert "What they do" not in prompt_text("pong", "cot", legal)
    assert set(pong.meanings(("NOOP", "RIGHT", "LEFT"))) == {"RIGHT", "LEFT"}


def test_a_game_without_meanings_lists_its_actions_as_before():
    assert get_game("tetris").meanings(legal_in("tetris")) == {}
    assert get_game("tetris").meaning("FIRE") == ""
    assert "What they do" not in prompt_text("tetris", "basic", legal_in("tetris"))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"SIDEWAYS": "moves"}, "no action 'SIDEWAYS'"),
        ({"UP": ""}, "cannot be read"),
        ({"UP": "rise; shoot"}, "cannot be read"),
        ({"UP": "rise."}, "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_said_is_refused_when_it_is_read(table, words):
    entry = {"title": "T", "cartridge": "T", "rules": "R.", "fire": "never needed"}
    with pytest.raises(ValueError, match=words):
        _game("test", {**entry, "actions": table})
