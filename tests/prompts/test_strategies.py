"""Strategies are pure, give exactly the expected text and name only legal actions.

The expected texts are in tests/prompts/golden, by version of the prompts. After an intended change
there is a new version; UPDATE_GOLDEN=1 writes its texts, and those of older versions stay.
"""

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atari_vlm.atari.games import GAMES, SUGGESTED, get_game
from atari_vlm.errors import UnknownName
from atari_vlm.prompts.adaptive import DOING_WELL, LEARNING_EPISODES, adaptive_style
from atari_vlm.prompts.strategies import (
    LONGEST_REPLY,
    STRATEGIES,
    VERSIONS,
    PromptSettings,
    get_strategy,
    prompt_text,
    repair,
    text_without_frames,
)
from atari_vlm.replies.plan_parser import parse_plan
from atari_vlm.types import Frame, Lessons
from tests.prompts.observations import legal_in, moment, observe, same_parts, screen

GOLDEN = Path(__file__).parent / "golden"
STYLES = ("basic", "cot", "expert")
BARE = PromptSettings(
    history=0, frames=1, rules=False, examples=False, lessons=False, status=False, memory=False
)
PARTS = {
    "full": PromptSettings(history=5, frames=3),
    "bare": BARE,
    "plain": PromptSettings(plans=False),
}
ANY_NAME = re.compile(
    r"\b(?:NOOP|FIRE|(?:UP|DOWN)(?:LEFT|RIGHT)?(?:FIRE)?|(?:LEFT|RIGHT)(?:FIRE)?)\b"
)


def rendered(prompt):
    """The text of a prompt with roles and numbered frames."""
    lines = []
    for message in prompt.messages:
        lines.append(f"[{message.role}]")
        lines += [f"<frame {p.step}>" if isinstance(p, Frame) else p for p in message.parts]
    return "\n".join(lines) + "\n"


# --- golden files --------------------------------------------------------------------------------

CASES = [
    (game, style, parts)
    for game in ("pong", "breakout", "montezuma_revenge", "tetris")
    for style in STYLES
    for parts in PARTS
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("game", "style", "parts"), CASES)
def test_a_prompt_is_exactly_its_golden_file(game, style, parts, version):
    golden = GOLDEN / str(version) / f"{game}-{style}-{parts}.txt"
    settings = replace(PARTS[parts], version=version)
    text = rendered(get_strategy(style, settings)(*moment(game)))
    if os.environ.get("UPDATE_GOLDEN") == "1" and version == VERSIONS[-1]:
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_golden_file_belongs_to_a_case(version):
    files = {path.name for path in (GOLDEN / str(version)).iterdir()}
    assert {f"{'-'.join(case)}.txt" for case in CASES} == files


# --- every game and strategy ---------------------------------------------------------------------


@pytest.mark.parametrize("game", GAMES)
def test_every_strategy_builds_for_every_game_and_names_only_legal_actions(game):
    legal = legal_in(game)
    for name, plans in [(name, plans) for name in STRATEGIES for plans in (True, False)]:
        prompt = get_strategy(name, PromptSettings(plans=plans))(*moment(game))
        assert prompt.legal == legal
        assert prompt.longest == 4
        assert prompt.frames[-1].step == 5
        assert set(ANY_NAME.findall(text_without_frames(prompt))) <= set(legal)


@pytest.mark.parametrize("game", SUGGESTED)
def test_the_expert_prompt_states_strategy_risks_and_patterns(game):
    text = text_without_frames(get_strategy("expert")(*moment(game)))
    hints = get_game(game).hints
    for line in (*hints.strategy, *hints.risks, *hints.patterns, get_game(game).rules):
        assert line in text
    assert "No advice is on record" not in text


def test_the_expert_prompt_states_that_no_advice_is_on_record():
    assert get_game("tetris").hints is None
    text = text_without_frames(get_strategy("expert")(*moment("tetris")))
    assert "No advice is on record for this game" in text
    assert all(title in text for title in ("Strategy:", "Risks:", "Patterns:"))


@pytest.mark.parametrize(
    ("game", "words"),
    [
        ("breakout", "Play waits for FIRE at the start and after each loss."),
        ("backgammon", "Nothing happens until FIRE makes the move."),
    ],
)
def test_the_rules_state_when_a_game_waits_for_fire(game, words):
    assert words in text_without_frames(get_strategy("basic")(*moment(game)))
    assert "FIRE makes" not in text_without_frames(get_strategy("basic")(*moment("pong")))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("interval", [1, 4, 16])
@pytest.mark.parametrize("plans", [True, False])
def test_an_answer_in_the_requested_format_is_parsed(style, interval, plans):
    observation = observe("breakout", 3, interval=interval)
    prompt = get_strategy(style, PromptSettings(plans=plans))(observation, [], Lessons())
    asked = prompt.messages[0].parts[-1]
    answer = asked.replace("<name>", "LEFT").replace("<frames>", "1")
    answer = answer.replace("<at most 50 words>", "The ball falls.")
    answer = answer.replace(f"<1 to {interval}>", "1")
    answer = answer.replace("Answer with one JSON object only: ", "")
    answer = answer.replace("Answer with one line only: ", "").partition(", with")[0]
    answer = answer.replace("Answer with the number or the name of one action only.", "LEFT")
    assert prompt.plans == (plans and interval > 1)
    frames = 1 if prompt.plans else interval
    assert parse_plan(answer, prompt.legal, prompt.longest).plan == ("LEFT", frames)


def test_a_prompt_for_several_decisions_states_when_the_model_is_asked_again():
    prompt = get_strategy("basic", PromptSettings(chunk_size=3))(*moment("breakout"))
    assert (
        "You decide every 4 frames, and plan 3 decisions at a time (0.2 s): for each, name an "
        "action and how many of its frames to hold it. You are asked again when they are played, "
        "or when a life is lost."
    ) in prompt.text
    assert prompt.messages[0].parts[-1] == (
        "Answer with one line only: ACTIONS: <name> x<frames>, <name> x<frames>, ... "
        "(3 in all, in order, each with 1 to 4 frames)."
    )


# --- purity and order ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_arguments_give_the_same_prompt_and_stay_as_they_were(name):
    arguments = moment("breakout")
    before = pickle.dumps(arguments)
    strategy = get_strategy(name)
    assert same_parts(strategy(*arguments), strategy(*arguments))
    assert pickle.dumps(arguments) == before


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_can_be_pickled(name):
    arguments = moment("breakout")
    strategy = get_strategy(name, PromptSettings(frames=3))
    copy = pickle.loads(pickle.dumps(strategy))
    assert same_parts(copy(*arguments), strategy(*arguments))


@pytest.mark.parametrize("style", STYLES)
def test_constant_parts_come_first_and_the_question_last(style):
    observation, history, lessons = moment("breakout")
    strategy = get_strategy(style)
    early = strategy(observe("breakout", 0, lives=5), [], lessons)
    late = strategy(observation, history, lessons)
    assert early.messages[0].parts == late.messages[0].parts
    assert [message.role for message in late.messages] == ["system", "user"]
    user = late.messages[1].parts
    assert isinstance(user[-1], str)
    assert user[-1].endswith("action should you take?")
    assert not any(isinstance(part, Frame) for part in user[-4:])
    order = ["Example 1:", "Lessons from", "Screen 4 frames ago:", "Screen now:", "Score:"]
    order += ["Recent actions", "Your note to yourself:", user[-1]]
    places = [late.text.index(words) for words in order]
    assert places == sorted(places)


# --- names ---------------------------------------------------------------------------------------


def test_the_embedded_prompt_is_found_under_its_former_name_too():
    assert get_strategy("specialist") is get_strategy("embedded")
    assert "specialist" not in STRATEGIES


def test_an_unknown_prompt_suggests_the_nearest():
    with pytest.raises(
        UnknownName, match=r"No prompt is called 'expertt'\. Did you mean 'expert'\?"
    ):
        get_strategy("expertt")


# --- adaptive, text without frames, repair -------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "episodes", "share", "style"),
    [
        ("pong", 0, None, "basic"),
        ("pong", LEARNING_EPISODES - 1, 0.0, "basic"),
        ("pong", LEARNING_EPISODES, 0.0, "cot"),
        ("pong", LEARNING_EPISODES, DOING_WELL - 0.01, "cot"),
        ("pong", LEARNING_EPISODES, DOING_WELL + 0.01, "expert"),
        ("pong", 1, DOING_WELL + 0.01, "expert"),
        ("space_invaders", LEARNING_EPISODES, 0.0, "cot"),
        ("space_invaders", 1, 1.0, "expert"),
    ],
)
def test_adaptive_uses_the_random_and_human_scores_of_the_game(game, episodes, share, style):
    entry = get_game(game)
    span = entry.human_score - entry.random_score
    mean = None if share is None else entry.random_score + share * span
    lessons = Lessons(episodes=episodes, mean_score=mean)
    assert adaptive_style(entry, lessons) == style
    now = observe(game, 3)
    assert same_parts(
        get_strategy("adaptive")(now, [], lessons), get_strategy(style)(now, [], lessons)
    )


def test_adaptive_without_a_human_score_never_chooses_expert():
    entry = get_game("tetris")
    assert entry.human_score is None
    assert adaptive_style(entry, Lessons(episodes=3, mean_score=1e9)) == "basic"
    assert adaptive_style(entry, Lessons(episodes=30, mean_score=1e9)) == "cot"


def test_prompt_text_asks_for_one_action():
    legal = legal_in("pong")
    basic = prompt_text("Pong-v5", "basic", legal)
    assert basic.endswith("What action should you take? Respond with action number or name.")
    assert "0 NOOP, 1 FIRE, 2 RIGHT, 3 LEFT, 4 RIGHTFIRE, 5 LEFTFIRE" in basic
    cot = prompt_text("Pong-v5", "cot", legal)
    steps = [cot.index(step) for step in ("1. Observe", "2. Analyse", "3. Plan", "4. Decide")]
    assert steps == sorted(steps)
    assert "Risks:" in prompt_text("Pong-v5", "expert", legal)
    assert prompt_text("Pong-v5", "adaptive", legal) == basic
    assert "frames" not in re.sub(r"every 4 frames", "", basic)
    planned = prompt_text("Pong-v5", "basic", legal, interval=8, plans=True)
    assert "ACTION: <name> x<frames>, with 1 to 8 frames" in planned
    for kind in ("embedded", "best"):
        with pytest.raises(UnknownName, match="Choose from: adaptive, basic, cot, expert"):
            prompt_text("Pong-v5", kind, legal)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_repair_prompt_states_the_fault_and_repeats_the_answer_format(name):
    prompt = get_strategy(name)(*moment("breakout"))
    fault = parse_plan("LEFT or RIGHT?", prompt.legal, prompt.longest).fault
    repaired = repair(prompt, "LEFT or RIGHT?", fault)
    assert repaired.messages[: len(prompt.messages)] == prompt.messages
    answer, turn = repaired.messages[-2:]
    assert (answer.role, answer.parts) == ("assistant", ("LEFT or RIGHT?",))
    assert turn.role == "user"
    assert turn.parts == (f"{fault} {prompt.messages[0].parts[-1]}",)
    assert "\n" not in turn.parts[0]


def test_a_repair_prompt_quotes_the_end_of_a_reply_or_no_answer():
    prompt = get_strategy("basic")(*moment("breakout"))
    assert len(repair(prompt, "x" * 10_000, "?").messages[-2].parts[0]) == LONGEST_REPLY
    assert repair(prompt, " ", "?").messages[-2].parts == ("(no answer)",)


def test_a_prompt_holds_the_frames_of_the_observation_without_a_copy():
    observation, history, lessons = moment("pong")
    prompt = get_strategy("basic", BARE)(observation, history, lessons)
    assert prompt.frames == (observation.frames[-1],)
    assert np.shares_memory(prompt.frames[0].pixels, screen("pong"))
