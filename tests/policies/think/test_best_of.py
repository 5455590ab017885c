"""A judge among several answers, and what happens when the judge is broken."""

from __future__ import annotations

import pytest

from atari_vlm import play
from atari_vlm.errors import InvalidSetting, ModelFault, ModelUnusable
from atari_vlm.policies.think.best_of import BestOf
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Frame
from tests.policies.think.models import Answers, asked, decide

THREE = [
    '{"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 2}',
    '{"reasoning": "I would wait.", "action": "NOOP", "frames": 4}',
    '{"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 3}',
]


def judged(verdict, texts=THREE, **more):
    model = Answers([*texts, verdict])
    return decide(BestOf(asked(model, "cot"), len(texts), **more)), model


def test_the_model_is_shown_the_screen_and_the_answers_and_its_choice_is_played():
    made, model = judged("Waiting is safe.\nBEST: 2")
    assert (made.plan, made.source) == (("NOOP", 4), "parsed")
    assert made.reason == "The best of 3 by the judge: answer 2"
    prompt = model.prompts[-1]
    assert [type(part) for part in prompt.messages[1].parts].count(Frame) == 1
    assert "Answer 1: LEFT x2. The ball falls to the left." in prompt.text
    assert prompt.text.endswith("End with one line: BEST: <1 to 3>")
    assert "Answer with one JSON object" not in prompt.text
    assert "what action should you take" not in prompt.text
    assert (len(made.calls), len(made.considered), made.usage.calls) == (1, 3, 4)
    assert made.thinking.spent.calls == 3


def test_the_judge_reads_no_words_that_only_repeat_a_plan():
    texts = ["ACTION: LEFT x2", "The ball falls. **ACTION: RIGHT x3**", "I would play NOOP x4"]
    _, model = judged("BEST: 1", texts)
    told = [line for line in model.prompts[-1].text.splitlines() if line.startswith("Answer ")]
    assert told == [
        "Answer 1: LEFT x2",
        "Answer 2: RIGHT x3. The ball falls.",
        "Answer 3: NOOP x4. I would play NOOP x4",
    ]


def test_no_judge_is_called_where_all_answers_are_one():
    made, model = judged("BEST: 1", [THREE[0]] * 3)
    assert (made.reason, len(model.prompts)) == ("3 of 3: LEFT x2", 3)
    made, model = judged("I cannot help.", ["I cannot help.", THREE[0]])
    assert made.plan == ("LEFT", 2)
    assert len([prompt for prompt in model.prompts if "BEST" in prompt.text]) == 0


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("I like them all.", "named no answer"),
        ("", "named no answer"),
        ("BEST: 4", "named answer 4 of 3"),
        ("BEST: 0", "named answer 0 of 3"),
        ("1 or 2", "named several answers"),
    ],
)
def test_a_judge_that_names_none_is_said_and_the_answers_vote(verdict, says):
    made, _ = judged(verdict)
    assert made.reason == f"The judge {says}, so the answers voted. 2 of 3: LEFT x2; 1 NOOP"
    assert made.calls[0].reply.text == verdict
    assert made.usage.calls == 4


@pytest.mark.parametrize("verdict", ["2", "#2", "Answer 2.", "**BEST: 2**", "1? No. BEST: #2"])
def test_a_verdict_is_read_in_any_usual_form(verdict):
    assert judged(verdict)[0].plan == ("NOOP", 4)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModelFault("timeout", "No answer in 60 s."), "timeout: No answer in 60 s."),
        (ModelUnusable("The prompt is too long.", "request"), "The prompt is too long."),
    ],
)
def test_a_judge_whose_call_fails_is_counted_and_the_answers_vote(error, said):
    class Fails(Answers):
        async def answer(self, prompt, *, seed):
            if "BEST" in prompt.text:
                raise error
            return await super().answer(prompt, seed=seed)

    made = decide(BestOf(asked(Fails(THREE), "cot"), 3))
    assert made.reason.startswith(f"The judge gave no answer ({said}), so the")
    assert (made.action, made.source) == ("LEFT", "parsed")
    assert made.calls[0].fault == said


def test_a_key_that_is_refused_to_the_judge_stops_the_run():
    class Refused(Answers):
        async def answer(self, prompt, *, seed):
            if "BEST" in prompt.text:
                raise ModelUnusable("The key is wrong.", "key")
            return await super().answer(prompt, seed=seed)

    with pytest.raises(ModelUnusable, match="The key is wrong"):
        decide(BestOf(asked(Refused(THREE), "cot"), 3))


def test_a_judge_of_ones_own_chooses_and_may_be_broken():
    async def longest(observation, candidates):
        return max(range(len(candidates)), key=lambda k: candidates[k].frames)

    assert judged("", judge=longest)[0].plan == ("NOOP", 4)

    def breaks(observation, candidates):
        return 1 // 0

    made, model = judged("", judge=breaks)
    assert made.reason.startswith("The judge failed (ZeroDivisionError: integer division")
    assert (made.action, len(model.prompts)) == ("LEFT", 3)
    for bad in (3, -1, "1", None, True):
        made, _ = judged("", judge=lambda observation, candidates, bad=bad: bad)
        assert made.reason.startswith(f"The judge gave {bad!r}, which is none of 0 to 2")
    assert BestOf(asked(Answers([])), judge=longest).settings == {"samples": 3, "judge": "longest"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("embedded+best-of:3", "embedded cannot judge its own answers"),
        ("random+best-of:3", "random has no model"),
    ],
)
def test_who_cannot_judge_is_refused(name, says):
    with pytest.raises(InvalidSetting, match=says):
        VLMTrainer("pong", name)


@pytest.mark.parametrize("count", ["1", "0", "x", "1000000"])
def test_the_best_of_one_is_refused(count):
    with pytest.raises(InvalidSetting, match=f"number of answers, 2 to 100, not '{count}'"):
        VLMTrainer("pong", f"answers+best-of:{count}", model=Answers([]))


def test_a_run_knows_the_judge_by_its_version_too(tmp_path):
    def played(place, version=None):
        def judge(observation, candidates):
            return place

        if version is not None:
            judge.version = version
        policy = BestOf(asked(Answers(THREE)), samples=3, judge=judge)
        return play("breakout", policy, max_decisions=1, save_dir=tmp_path)

    first, other = played(0, "1"), played(1, "2")
    assert first.folder != other.folder
    assert played(0, "1").folder == first.folder
    assert played(0).folder not in (first.folder, other.folder)  # as runs of before have it
    assert "judge_version" not in BestOf(asked(Answers(THREE)), judge=max).settings
