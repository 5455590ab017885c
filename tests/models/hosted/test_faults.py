"""Failures of a server: retries and error messages."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from atari_vlm.errors import AtariVLMError, MissingExtra, ModelFault, ModelUnusable
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.types import Message, Prompt, Reply
from tests.hosted import KEY, FakeClock
from tests.servers import Server
from tests.vendor_apis import Answer
from tests.vendors import serve_as

PROMPT = Prompt(messages=(Message("user", ("Act.",)),), legal=("NOOP", "LEFT"), longest=4)
MODELS = {
    "openai": "gpt-4o",
    "openai-compatible": "served",
    "anthropic": "claude-sonnet-5-5",
    "google": "gemini-3.5-flash-lite",
}
PACKAGES = {"anthropic": "anthropic", "google": "google.genai"}


@pytest.fixture(params=MODELS)
def provider(request) -> str:
    if request.param in PACKAGES:
        pytest.importorskip(PACKAGES[request.param], reason="an optional extra")
    return request.param


@dataclass
class Outcome:
    """The result of a call."""

    reply: Reply | None = None
    error: AtariVLMError | None = None
    waits: list[float] = field(default_factory=list)
    """Seconds of each wait between tries."""


def ask(provider: str, server: Server, *, seed: int = 7, times: int = 1, **more: Any) -> Outcome:
    """The last of `times` answers of one model, or its error."""
    base_url = server.base_url if provider.startswith("openai") else server.url
    values = {"name": "model", "model_id": MODELS[provider], "provider": provider, "tries": 3}
    settings = HostedSettings(**values | {"base_url": base_url} | more)
    outcome = Outcome()

    async def go() -> None:
        model = HostedModel(settings, api_key=KEY, clock=FakeClock(outcome.waits))
        try:
            for _ in range(times):
                outcome.reply = await model.answer(PROMPT, seed=seed)
        except AtariVLMError as error:
            outcome.error = error
        finally:
            await model.close()

    asyncio.run(go())
    return outcome


# -- temporary failures ---------------------------------------------------------------------------


def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks(provider):
    limit = Answer(status=429, headers={"retry-after": "7"})
    with Server([limit, limit, Answer(text="LEFT")]) as server:
        outcome = ask(provider, server)
    assert outcome.reply is not None
    assert outcome.reply.text == "LEFT"
    assert outcome.waits == [7, 7]
    assert server.count == 3


def test_no_wait_exceeds_the_longest_wait(provider):
    with Server(Answer(status=429, headers={"retry-after": "86400"})) as server:
        outcome = ask(provider, server, longest_wait_s=30)
    assert outcome.waits == [30, 30]
    assert isinstance(outcome.error, ModelFault)


@pytest.mark.parametrize(
    "asked",
    [
        *("-7", "nan", "inf", "1e400", "9" * 400, "\u0663", "soon", ""),
        *("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_no_wait_that_a_server_asks_for_is_endless_or_negative(asked):
    header = {"retry-after": asked.encode().decode("latin-1")}
    with Server([Answer(status=429, headers=header), Answer(text="LEFT")]) as server:
        outcome = ask("openai", server)
    assert outcome.reply is not None
    assert all(0 <= wait <= 60 for wait in outcome.waits)


WAITS = {
    "seconds": Answer(status=429, headers={"retry-after": "1000000000"}),
    "of a failure": Answer(status=503, headers={"retry-after": "1000000000"}),
    "milliseconds": Answer(status=429, headers={"retry-after-ms": "1e12"}),
    "with status 200": Answer(
        raw='{"error": {"code": 429, "message": "no"}}', headers={"retry-after": "1e9"}
    ),
    "Google's": Answer(
        status=429,
        raw='{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type":'
        ' "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1000000000s"}]}}',
    ),
}


@pytest.mark.parametrize("way", WAITS)
def test_a_wait_of_thirty_years_is_a_minute(way):
    if way == "Google's":
        pytest.importorskip("google.genai", reason="an optional extra")
    with Server([WAITS[way], Answer()]) as server:
        outcome = ask("google" if way == "Google's" else "openai", server)
    assert outcome.reply is not None
    assert outcome.waits == [60]


def test_failures_are_retried_with_exponential_backoff_and_seeded_jitter(provider):
    bad = [Answer(status=500), Answer(status=503), Answer(status=529)]
    waits = []
    for seed in (1, 1, 2):
        with Server([*bad, Answer()]) as server:
            outcome = ask(provider, server, seed=seed, tries=4)
        assert outcome.reply is not None
        assert server.count == 4
        waits.append(outcome.waits)
    assert waits[0] == waits[1] != waits[2]
    for wait, base in zip(waits[0], (0.5, 1, 2), strict=True):
        assert 0.75 * base <= wait <= 1.25 * base


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(status=429, message="slow down"), "rate limit", "limits the rate"),
        (Answer(status=500, message="oops"), "server error", 'failed (500). It said: "oops"'),
        (Answer(status=529), "server error", "failed (529)"),
        (Answer(status=408), "server error", "failed (408)"),
        (Answer(drop=True), "connection", "dropped the connection"),
        (Answer(delay=30), "timeout", "did not answer within 0.2 seconds"),
        (Answer(status=502, raw="<html>Bad gateway</html>"), "server error", "Bad gateway"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_persistent_temporary_failure_is_one_fault(provider, answer, kind, words):
    with Server(answer) as server:
        outcome = ask(provider, server, timeout_s=0.2 if answer.delay else 30)
    assert isinstance(outcome.error, ModelFault)
    assert outcome.error.kind == kind
    assert words in str(outcome.error)
    assert server.count == 3
    assert len(outcome.waits) == 2


GARBAGE = [
    "<html>Welcome</html>",
    "",
    "null",
    "[1]",
    "{}",
    '{"choices": [], "content": [], "candidates": []}',
    '{"choices": null, "content": null, "candidates": null}',
    '{"choices": [1], "content": [1], "candidates": [1]}',
]


@pytest.mark.parametrize("raw", GARBAGE)
def test_garbage_after_good_answers_is_a_fault(provider, raw):
    with Server([Answer(), Answer(raw=raw)]) as server:
        outcome = ask(provider, server, times=2)
    assert isinstance(outcome.error, ModelFault)
    assert outcome.error.kind == "garbage"
    assert "did not answer as its API should" in str(outcome.error)
    assert server.count == 4


@pytest.mark.parametrize("raw", GARBAGE)
def test_a_server_that_only_sends_garbage_is_unusable(provider, raw):
    with Server(Answer(raw=raw, headers={"content-type": "text/html"})) as server:
        outcome = ask(provider, server)
    assert isinstance(outcome.error, ModelUnusable)
    assert "did not answer as its API should" in str(outcome.error)


def test_garbage_from_an_address_without_v1_hints_at_it():
    with Server(Answer(raw="<html>")) as server:
        outcome = ask("openai-compatible", server, base_url=f"{server.url}/api")
    assert "usually ends in /v1" in str(outcome.error)


# -- permanent failures ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(status=401), "refused the key (401). Set"),
        (Answer(status=403), "refused the key (403). Set"),
        (Answer(status=400, message="API key not valid."), "refused the key (400). Set"),
        (Answer(status=402), "quota of this account is used up (402)"),
        (Answer(status=404, code="model_not_found"), "404"),
        (Answer(status=400, message="bad image"), 'request for'),
        (Answer(status=413), "413"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_permanent_failure_is_not_retried(provider, answer, words):
    with Server(answer) as server:
        outcome = ask(provider, server)
    assert isinstance(outcome.error, ModelUnusable)
    assert words in str(outcome.error)
    assert server.count == 1
    assert outcome.waits == []


def test_an_exhausted_quota_is_not_a_rate_limit():
    with Server(Answer(status=429, code="insufficient_quota")) as server:
        outcome = ask("openai", server)
    assert isinstance(outcome.error, ModelUnusable)
    assert "Add credit or use another key" in str(outcome.error)
    assert server.count == 1


def test_a_prompt_too_long_names_what_to_shorten():
    answer = Answer(status=400, code="context_length_exceeded", message="maximum context length")
    with Server(answer) as server:
        outcome = ask("openai", server)
    assert "Send fewer or smaller frames, or a shorter history." in str(outcome.error)


def test_a_withdrawn_model_names_its_successor(monkeypatch):
    with Server(Answer(status=404, code="model_not_found", message="gone")) as server:
        serve_as(monkeypatch, openai=server)
        outcome = ask("openai", server, base_url=None, advice="Use gpt-6-luna.")
    assert str(outcome.error) == (
        "OpenAI has no model 'gpt-4o' (404). Use gpt-6-luna. It said: \"gone\""
    )


def test_an_unknown_model_on_a_compatible_server_names_its_list_of_models():
    with Server(Answer(status=404)) as server:
        outcome = ask("openai-compatible", server)
        assert f"{server.base_url}/models lists the models it serves" in str(outcome.error)


def test_an_address_without_a_server_is_reported_at_once():
    with Server() as server:
        address = server.base_url
    outcome = ask("openai-compatible", server, base_url=address)
    assert isinstance(outcome.error, ModelUnusable)
    assert str(outcome.error) == (
        f"No server answers at {address} (connection refused). Start it, or correct base_url."
    )
    assert outcome.waits == []


# -- keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("google", "GEMINI_API_KEY"),
    ],
)
def test_a_missing_key_names_its_environment_variable(provider, variable, monkeypatch):
    for name in (variable, "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = HostedSettings(name="it", model_id="it", provider=provider)
    with pytest.raises(ModelUnusable, match=f"Set {variable} or pass api_key"):
        HostedModel(settings)


def authorisation(settings: HostedSettings, server: Server, api_key: str | None = None) -> str:
    async def go() -> None:
        model = HostedModel(settings, api_key=api_key)
        await model.answer(PROMPT, seed=1)
        await model.close()

    asyncio.run(go())
    return server.requests[-1].headers["authorization"]


def test_a_given_key_overrides_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment\n")
    with Server() as server:
        settings = HostedSettings(
            name="m", model_id="gpt-4o", provider="openai", base_url=server.base_url
        )
        assert authorisation(settings, server) == "Bearer from-environment"
        assert authorisation(settings, server, "given") == "Bearer given"


def test_a_vendors_key_is_never_sent_to_another_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ATARI_VLM_API_KEY", "for-my-server")
    with Server() as server:
        settings = HostedSettings(
            name="m", model_id="m", provider="openai-compatible", base_url=server.base_url
        )
        assert authorisation(settings, server) == "Bearer for-my-server"
        monkeypatch.delenv("ATARI_VLM_API_KEY")
        assert KEY not in authorisation(settings, server)


@pytest.mark.parametrize("key", ["two words", "ключ", "tab\tinside"])
def test_a_malformed_key_is_refused_without_showing_it(key):
    settings = HostedSettings(name="gpt-4o", model_id="gpt-4o", provider="openai")
    with pytest.raises(ModelUnusable, match="characters that no key has") as caught:
        HostedModel(settings, api_key=key)
    assert key not in str(caught.value)


ECHO = f"You sent {KEY}, which is wrong"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=401, message=ECHO),
        Answer(status=429, code="insufficient_quota", message=ECHO),
        Answer(status=500, message=ECHO),
        Answer(status=404, message=ECHO),
        Answer(status=400, message=ECHO),
        Answer(status=502, raw=f"<html>{ECHO}</html>"),
        Answer(raw=f"<html>{ECHO}</html>", headers={"content-type": "text/html"}),
        Answer(drop=True),
    ],
)
def test_the_key_is_in_no_error_traceback_or_log(provider, answer, caplog):
    caplog.set_level(logging.DEBUG)
    with Server(answer) as server:
        outcome = ask(provider, server)
    error = outcome.error
    assert error is not None
    assert any(KEY in value for value in server.requests[0].headers.values())
    assert KEY not in "".join(traceback.format_exception(error)) + repr(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert not [record for record in caplog.records if KEY in record.getMessage()]


def test_the_key_is_in_no_setting_or_representation(provider):
    settings = HostedSettings(
        name="m", model_id=MODELS[provider], provider=provider, base_url="http://127.0.0.1:1/v1"
    )
    model = HostedModel(settings, api_key=KEY)
    assert KEY not in repr(model) + str(model) + repr(model.settings)
    assert KEY not in repr([value for value in vars(model).values()])


@pytest.mark.parametrize(
    ("provider", "package"),
    [("openai", "openai"), ("anthropic", "anthropic"), ("google", "google.genai")],
)
def test_a_missing_package_names_the_command_that_installs_it(provider, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    settings = HostedSettings(name="it", model_id="it", provider=provider)
    with pytest.raises(MissingExtra) as caught:
        HostedModel(settings, api_key=KEY)
    command = f"pip install -c constraints.txt -e '.[{provider}]'"
    assert command in Path("README.md").read_text().replace("openai", provider)
    assert str(caught.value) == (
        f"it needs {package.replace('.', '-')}. Where you cloned this project, run: {command}."
    )
