"""Votes of a paid server: caps hold, what was paid is not asked again, and the terminal says it."""

from __future__ import annotations

import pytest

from atari_vlm.cli.console import Console
from atari_vlm.cli.scores import print_summary
from atari_vlm.errors import BudgetExceeded, ModelFault
from atari_vlm.policies.outages import is_unanswered
from atari_vlm.policies.think.vote import Vote
from atari_vlm.trainer import VLMTrainer
from tests.policies.think.models import Answers, asked, decide
from tests.servers import Server
from tests.vendor_apis import Answer


def script(number, body):
    moves = ("LEFT", "RIGHT", "FIRE")
    return Answer(text=f"ACTION: {moves[body.get('seed', number) % 3]} x2", tokens=(4000, 0, 10))


def trainer(server, folder, **options):
    settings = {"prompt_type": "basic", "max_decisions": 4, "max_tokens": 50, **options}
    return VLMTrainer(
        "breakout", "x", think="vote:5", base_url=server.base_url, run_folder=folder, **settings
    )


def test_a_cap_holds_among_votes_and_a_higher_one_asks_only_what_is_missing(tmp_path):
    with Server(script) as server:
        with pytest.raises(BudgetExceeded, match="higher budget_tokens"):
            trainer(server, tmp_path / "run", budget_tokens=22_500).train(1)
        assert 0 < 4_010 * len(server.requests) <= 22_500
        summary = trainer(server, tmp_path / "run", budget_tokens=10**7).train(1)
        assert len(server.requests) == summary.usage.calls == 20
        seeds = [request.body.get("seed") for request in server.requests]
        assert len({*seeds}) == 20
    assert summary.thought.decisions == 4
    assert summary.thought.spent[:2] == (16, 16 * 4_010)


def test_the_terminal_says_how_many_decisions_thought_and_what_it_took(tmp_path, capsys):
    with Server(script) as server:
        summary = trainer(server, tmp_path / "run", think_budget="10 calls").train(1)
    print_summary(Console(width=200), summary)
    said = capsys.readouterr().out
    assert "thinking at most 10 calls an episode" in " ".join(said.split())
    assert (
        "Thinking: 2 decisions thought longer: 8 more calls, 32,080 more tokens, price unknown; "
        "2 had no budget left" in said
    )


def test_votes_that_no_server_answers_are_an_outage_and_not_the_models_fault():
    class Down(Answers):
        async def answer(self, prompt, *, seed):
            raise ModelFault("timeout", "No answer in 60 s.")

    made = decide(Vote(asked(Down([])), 3))
    assert (made.source, is_unanswered(made), len(made.considered)) == ("fallback", True, 3)


def test_temperature_0_is_said_to_make_votes_alike(tmp_path):
    model = Answers(["LEFT"])
    with pytest.warns(UserWarning, match="asks several times at temperature 0"):
        VLMTrainer("pong", "answers+vote:3", model=model, temperature=0.0)
    made = decide(Vote(asked(Answers(["Hmm."])), 2))
    assert (made.reply, is_unanswered(made)) == ("Hmm.", False)
