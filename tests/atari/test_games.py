"""The catalogue agrees with the emulator."""

import math
import re
import subprocess
import sys
from functools import cache

import ale_py
import gymnasium
import numpy as np
import pytest

from atari_vlm.atari.games import GAMES, SUGGESTED, TIERS, UNSAFE, get_game
from atari_vlm.atari.images import PALETTES
from atari_vlm.errors import InvalidSetting, UnknownName, UnsafeGame

gymnasium.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

WITHOUT_NOOP = {"backgammon", "video_checkers"}
WAITING = [
    name for name, game in GAMES.items() if game.fire in ("starts the game", "starts each life")
]
ALL_TITLES = {
    spec.kwargs["game"]: spec.name
    for spec in gymnasium.registry.values()
    if spec.namespace == "ALE" and spec.version == 5
}


class Console:
    """ALE with one game in it, played at random from a fixed seed."""

    def __init__(self, name: str) -> None:
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.ale.setInt("random_seed", 0)
        self.ale.loadROM(ale_py.roms.get_rom_path(name))
        self.codes = {action.name: action.value for action in self.ale.getMinimalActionSet()}
        self.rng = np.random.default_rng(0)

    def play(self, frames: int, *, fire: bool = True) -> float:
        """Play random actions, each for 8 frames, with or without FIRE; return the reward."""
        codes = [code for name, code in self.codes.items() if fire or "FIRE" not in name]
        reward = 0.0
        for _ in range(0, frames, 8):
            code = int(self.rng.choice(codes))
            reward += sum(self.ale.act(code) for _ in range(8))
        return reward

    def wait(self, frames: int) -> int:
        """Play NOOP; return how many pixels change at least once."""
        last = self.ale.getScreen()
        changed = np.zeros(last.shape, bool)
        for _ in range(frames):
            self.ale.act(0)
            changed |= self.ale.getScreen() != last
            last = self.ale.getScreen()
        return int(changed.sum())


@cache
def console(name: str) -> Console:
    return Console(name)


def test_the_catalogue_lists_every_safe_rom_under_its_gymnasium_name():
    assert {name: game.title for name, game in GAMES.items()} == ALL_TITLES
    assert set(ale_py.roms.get_all_rom_ids()) == {*GAMES, *UNSAFE}
    assert list(GAMES) == sorted(GAMES)
    assert len(GAMES) == 104
    assert all(game.name == name for name, game in GAMES.items())
    assert gymnasium.spec(get_game("ms_pacman").env_id).kwargs["game"] == "ms_pacman"


@pytest.mark.parametrize("name", GAMES)
def test_height_and_colours_are_those_of_the_emulator(name):
    game, machine = GAMES[name], console(name)
    assert tuple(machine.ale.getScreenDims()) == (game.height, 160)
    table, other = (PALETTES[key] for key in (("pal", "ntsc") if game.pal else ("ntsc", "pal")))
    distinguished = False
    for _ in range(15):
        machine.play(16)
        pixels, colours = machine.ale.getScreen(), machine.ale.getScreenRGB()
        assert np.array_equal(table[pixels], colours)
        distinguished |= not np.array_equal(other[pixels], colours)
    assert distinguished


@pytest.mark.parametrize("name", GAMES)
def test_the_texts_of_a_game_name_only_its_own_actions(name):
    game, codes = GAMES[name], console(name).codes
    assert ("NOOP" in codes) == (name not in WITHOUT_NOOP)
    assert (game.fire == "not offered") == (not any("FIRE" in action for action in codes))
    sentences = [game.rules]
    if game.hints:
        sentences += [*game.hints.strategy, *game.hints.risks, *game.hints.patterns]
    named = set(re.findall(r"\b(?:NOOP|FIRE|UP|DOWN|LEFT|RIGHT)\b", " ".join(sentences)))
    assert named <= set(codes)
    assert all(sentence.endswith(".") and sentence.isascii() for sentence in sentences)


@pytest.mark.parametrize("name", WAITING)
def test_the_screen_is_still_until_fire(name):
    machine, still = Console(name), [math.inf, math.inf]
    while max(still[-2:]) >= 150 and len(still) < 16:
        machine.play(400, fire=False)
        machine.wait(60)
        still.append(machine.wait(60))
    assert max(still[-2:]) < 150
    bursts = []
    for _ in range(8):
        machine.play(120)
        bursts.append(machine.wait(60))
    assert max(bursts) > 4 * max(still[-2:])


@pytest.mark.parametrize(
    "name", [name for name, game in GAMES.items() if game.fire == "makes each move"]
)
def test_nothing_scores_without_fire_where_it_makes_each_move(name):
    assert Console(name).play(800, fire=False) == 0


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_rom_is_refused_because_it_ends_the_process(name):
    with pytest.raises(UnsafeGame, match=f"'{name}' cannot be played: .*ends the process"):
        get_game(name)
    with pytest.raises(UnsafeGame):
        get_game(f"ALE/{name.title().replace('_', '')}-v5")
    load = (
        "import ale_py; ale = ale_py.ALEInterface();\n"
        f"try: ale.loadROM(ale_py.roms.get_rom_path({name!r}))\n"
        "finally: print('still here')"
    )
    ended = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True)
    assert ended.returncode != 0
    assert "still here" not in ended.stdout


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("Pong-v5", "pong"),
        ("PONG", "pong"),
        (" pong ", "pong"),
        ("PongNoFrameskip-v4", "pong"),
        ("PongDeterministic-v4", "pong"),
        ("Pong-ram-v5", "pong"),
        ("Pong-ramNoFrameskip-v4", "pong"),
        ("AtariVLM/Pong-v5", "pong"),
        ("pong_v3", "pong"),
        ("ms pacman", "ms_pacman"),
        ("Ms. Pac-Man", "ms_pacman"),
        ("Montezuma's Revenge", "montezuma_revenge"),
        ("space invaders", "space_invaders"),
        ("Q*bert", "qbert"),
        ("PRIVATE EYE", "private_eye"),
        ("Pitfall II", "pitfall2"),
        ("E.T.", "et"),
    ],
)
def test_a_name_is_understood_in_any_usual_spelling(asked, name):
    assert get_game(asked) is GAMES[name]


def test_every_spelling_in_the_catalogue_finds_its_game():
    for game in GAMES.values():
        for spelling in (game.name, game.title, game.cartridge, game.env_id):
            assert get_game(spelling) is game


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("pongg", "pong"),
        ("Pongg-v5", "pong"),
        ("ALE/SpaceInvader-v5", "space_invaders"),
        ("BreakoutsNoFrameskip-v4", "breakout"),
        ("montezuma", "montezuma_revenge"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(asked, nearest):
    with pytest.raises(UnknownName) as error:
        get_game(asked)
    assert str(error.value) == (
        f"No game is called {asked!r}. Did you mean {nearest!r}? "
        "`atari-vlm games --all` lists every game."
    )


@pytest.mark.parametrize("asked", ["", "-v5", "chess with dragons"])
def test_a_name_unlike_any_other_gets_no_suggestion(asked):
    with pytest.raises(UnknownName, match="`atari-vlm games --all`") as error:
        get_game(asked)
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("asked", [None, 3, b"pong", GAMES["pong"]])
def test_a_name_that_is_no_string_is_refused(asked):
    with pytest.raises(InvalidSetting, match="is a string such as 'pong', not"):
        get_game(asked)


def test_the_suggested_games_come_in_the_order_of_their_tiers():
    tiers = [GAMES[name].tier for name in SUGGESTED]
    assert tiers == [1] * 5 + [2] * 4 + [3] * 3
    assert set(tiers) == set(TIERS)
    assert {name for name, game in GAMES.items() if game.tier} == set(SUGGESTED)
    assert GAMES["pong"].tier_reason == "Simple physics, clear objectives, good for testing"
    assert GAMES["private_eye"].tier_reason == "Complex navigation"


def test_only_the_suggested_games_have_reasons_and_hints():
    for name, game in GAMES.items():
        assert bool(game.tier_reason) == (game.hints is not None) == (name in SUGGESTED)
        if game.hints:
            parts = (game.hints.strategy, game.hints.risks, game.hints.patterns)
            assert all(3 <= len(part) <= 4 for part in parts)


def test_scores_are_the_57_of_the_table():
    scored = {name: game for name, game in GAMES.items() if game.human_score is not None}
    assert len(scored) == 57
    assert all(game.random_score is not None for game in scored.values())
    assert {name for name, game in GAMES.items() if game.score_source} == set(scored)
    expected = {
        "pong": (-20.7, 14.6),
        "breakout": (1.7, 30.5),
        "jamesbond": (29.0, 302.8),
        "alien": (227.8, 7127.7),
        "skiing": (-17098.1, -4336.9),
        "video_pinball": (16256.9, 17667.9),
        "zaxxon": (32.5, 9173.3),
    }
    for name, pair in expected.items():
        assert (scored[name].random_score, scored[name].human_score) == pair
    total = sum(game.random_score + game.human_score for game in scored.values())
    assert total == pytest.approx(657359.1)


def test_the_normalised_score_is_0_for_random_and_1_for_the_human():
    pong = get_game("pong")
    assert pong.normalise(-20.7) == 0
    assert pong.normalise(14.6) == 1
    assert pong.normalise(21) == pytest.approx(41.7 / 35.3)
    assert get_game("adventure").normalise(1) is None


@pytest.mark.parametrize(
    ("module", "more"),
    [
        ("atari_vlm", {"ale_py", "PIL", "rich", "typer"}),
        ("atari_vlm.cli.app", {"httpx2"}),
        ("atari_vlm.report.helpers", {"typer", "httpx2", "atari_vlm.replies"}),
    ],
)
def test_importing_loads_no_heavy_package(module, more):
    heavy = {"torch", "transformers", "onnxruntime", "pydantic_ai", "openai", "matplotlib"}
    heavy |= {"anthropic", "google.genai"} | more
    code = f"import sys, {module}; assert not {heavy!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
