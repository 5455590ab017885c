"""Servers of another kind, at a wrong address; and runs that go on at another one."""

from __future__ import annotations

from contextlib import closing

import pytest

from atari_vlm.errors import ModelUnusable, StoreError
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.servers import Server
from tests.vendor_apis import Answer, OpenAI
from tests.vendors import serve_as
from tests.wires import WIRES, Liar, Wire, ask, fixed

CHAT = WIRES[0]
OPENAI = Wire("openai", OpenAI, "openai", "gpt-4o")


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return request.param


PAGE = "<html><title>Home</title>Not here</html>"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=501, message="Unsupported method"),
        Answer(status=505, raw=""),
        Answer(status=511, raw=PAGE),
        Answer(status=405, message="POST?"),
        Answer(status=405, raw=PAGE),
        Answer(status=404, raw=PAGE),
        Answer(raw='{"error": {"code": 501, "message": "Not implemented"}}'),
    ],
    ids=lambda answer: f"{answer.status} {(answer.raw or 'JSON')[:6]}",
)
def test_a_server_of_another_kind_ends_the_run_and_names_its_address(wire, answer):
    with Server(answer) as server:
        outcome = ask(wire, server)
        assert isinstance(outcome.error, ModelUnusable)
        assert outcome.error.what == "server"
        assert f"at {server.url}" in str(outcome.error)
    assert "Correct base_url, then give the same command to continue." in str(outcome.error)
    assert server.count == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 abc X\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"SSH-2\r\n\r\n"]
)
def test_what_does_not_speak_http_is_no_dropped_connection(head):
    with Liar(fixed(lambda wire: head), CHAT) as server:
        outcome = ask(CHAT, server)
    assert isinstance(outcome.error, ModelUnusable)
    assert "did not answer as its API should (it is no HTTP: illegal status line" in outcome.text


# -- runs -----------------------------------------------------------------------------------------

NOOP = Answer(text="ACTION: NOOP")


def play(folder, **more):
    options = {"max_decisions": 6, "run_folder": folder, "prompt_type": "basic", "progress": False}
    return VLMTrainer("pong", more.pop("vlm_type", "m"), **options, **more).train(1)


def stopped(folder, answers, **more):
    with Server(answers) as server:
        with pytest.raises(ModelUnusable) as caught:
            play(folder, base_url=server.base_url, **more)
        return server.base_url, str(caught.value)


@pytest.mark.parametrize("status", [501, 505, 405, 404])
def test_nothing_is_played_at_a_wrong_address_and_the_right_one_continues(status, tmp_path):
    wrong, error = stopped(tmp_path, Answer(status=status, raw=PAGE))
    assert f"at {wrong} does not answer such requests ({status})" in error
    with Server(NOOP) as server:
        summary = play(tmp_path, base_url=server.base_url)
    assert server.count == 6
    assert summary.sources == {"parsed": 6}
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["base_url"] == server.base_url
        assert "later_servers" not in run.settings


def test_a_run_that_goes_on_at_another_server_says_and_records_it(tmp_path):
    first, _ = stopped(tmp_path, [NOOP, NOOP, Answer(status=401)])
    said = rf"has 2 answers of the server at {first}, and goes on at http"
    with pytest.warns(UserWarning, match=said):
        second, _ = stopped(tmp_path, Answer(status=401))
    with Server([NOOP, Answer(status=401)]) as server:
        with pytest.raises(ModelUnusable):  # the second answered nothing: nothing is said again
            play(tmp_path, base_url=server.base_url)
        with pytest.raises(ModelUnusable):  # nor of the same address, written in another way
            play(tmp_path, base_url=f"{server.base_url}/")
        third = server.base_url
    with Server(NOOP) as server, pytest.warns(UserWarning, match=f"has 1 answer of .* at {third},"):
        play(tmp_path, base_url=server.base_url)
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["base_url"] == first != second
        assert run.settings["later_servers"] == [
            {"base_url": third, "earlier_answers": 2},
            {"base_url": server.base_url, "earlier_answers": 3},
        ]
        assert len(run.plans(0)) == 6


def test_a_half_played_run_does_not_move_between_a_vendor_and_a_server(tmp_path, monkeypatch):
    more = {"vlm_type": "gpt-4o", "api_key": "k"}
    with Server([NOOP, NOOP, Answer(status=401)]) as vendor, Server(NOOP) as other:
        serve_as(monkeypatch, openai=vendor)
        with pytest.raises(ModelUnusable, match="refused the key"):
            play(tmp_path, **more)
        words = "2 answers of the model at its vendor, and does not go on at http"
        with pytest.raises(StoreError, match=words):
            play(tmp_path, base_url=other.base_url, **more)
        monkeypatch.setenv("OPENAI_BASE_URL", other.base_url)
        with (
            pytest.warns(UserWarning, match="OPENAI_BASE_URL is set"),
            pytest.raises(StoreError, match=words),
        ):
            play(tmp_path, **more)
        monkeypatch.delenv("OPENAI_BASE_URL")
        with pytest.raises(ModelUnusable, match="refused the key"):
            play(tmp_path, **more)
    assert other.count == 0


def test_a_variable_that_named_a_wrong_address_can_be_corrected_or_unset(tmp_path, monkeypatch):
    more = {"vlm_type": "gpt-4o", "api_key": "k"}
    with Server(Answer(status=501)) as wrong, Server(NOOP) as vendor:
        serve_as(monkeypatch, openai=vendor)
        monkeypatch.setenv("OPENAI_BASE_URL", wrong.base_url)
        with (
            pytest.warns(UserWarning, match="OPENAI_BASE_URL is set"),
            pytest.raises(ModelUnusable, match=r"\(501\).* Correct OPENAI_BASE_URL, then give"),
        ):
            play(tmp_path, **more)
        monkeypatch.delenv("OPENAI_BASE_URL")
        assert play(tmp_path, **more).sources == {"parsed": 6}
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["base_url"] is None


def test_the_variable_that_moved_a_vendor_is_what_to_correct(monkeypatch):
    with Server(Answer(status=404, code="model_not_found")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        with pytest.warns(UserWarning, match="OPENAI_BASE_URL is set"):
            outcome = ask(OPENAI, server, base_url=None)
        assert f"at {server.base_url} answered 404 for the model 'gpt-4o'" in str(outcome.error)
    assert "the address that OPENAI_BASE_URL should name" in str(outcome.error)
    with pytest.warns(UserWarning, match="OPENAI_BASE_URL is set"):
        outcome = ask(OPENAI, server, base_url=None)  # it is gone
    assert str(outcome.error).endswith("Start it, or correct OPENAI_BASE_URL.")
