"""A server that repeats the key in any of many ways: nothing that is kept or shown has it."""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import logging
import random
import traceback
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from atari_vlm.errors import AtariVLMError
from atari_vlm.models.hosted.cache import CacheSettings
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.models.hosted.redaction import Secrets, environment_secrets
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.report.run_page import write_replay
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from tests.hosted import FakeClock, make_prompt
from tests.leaks import leaks, leaks_in
from tests.servers import Server
from tests.vendor_apis import Answer

KEY = "sk-planted/0123456789+abcdef=="
OTHER = "AIzaSyOfAnotherVendor_98765432"
"""Of a vendor that is not asked."""


def _shifted(text: str, letter: int, digit: int) -> str:
    """The text in other forms of its letters: bold, full-width, ..."""
    return "".join(
        chr(letter + ord(c) - 97) if c.islower() else chr(digit + int(c)) if c.isdigit() else c
        for c in text
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _alike(text: str, letters: str, like: str) -> str:
    return text.translate(str.maketrans(letters, like))


WAYS = {
    "as it is": KEY,
    "upper case": KEY.upper(),
    "lower case": KEY.lower(),
    "spaced": " ".join(KEY),
    "on lines": "\n".join(KEY),
    "wrapped": f"{KEY[:14]}\n   {KEY[14:]}",
    "zero-width": "\u200b".join(KEY),
    "full-width": "".join(chr(ord(c) + 0xFEE0) for c in KEY),
    "bold": _shifted(KEY, 0x1D41A, 0x1D7CE),
    "markdown": f"**sk**-{KEY[3:]}",
    "tags": f"s<b>k</b>-{KEY[3:]}",
    "base64": _base64(KEY),
    "base64 of a header": _base64(f"Authorization: Bearer {KEY}"),
    "base64 for addresses": base64.urlsafe_b64encode(f"x{KEY}".encode()).decode(),
    "base64 on lines": base64.encodebytes(f"{KEY} {KEY}".encode()).decode(),
    "quoted": urllib.parse.quote(KEY, safe=""),
    "quoted twice": urllib.parse.quote(urllib.parse.quote(KEY, safe="")),
    "percent": "".join(f"%{ord(c):02X}" for c in KEY),
    "JSON escapes": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "one JSON escape": f"\\u0073{KEY[1:]}",
    "JSON in JSON": json.dumps(json.dumps([f"\\u0073{KEY[1:]}"])),
    "JSON list": json.dumps(list(KEY)),
    "Python escapes": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "HTML in HTML": "".join(f"&amp;#x{ord(c):x};" for c in KEY),
    "hexadecimal": KEY.encode().hex(),
    "hex dump": KEY.encode().hex(" "),
    "reversed": KEY[::-1],
    "ROT13": codecs.encode(KEY, "rot13"),
    "cut off": KEY[:-6],
    "without its beginning": KEY[8:],
}


RARER = {
    "hexadecimal of UTF-16": KEY.encode("utf-16-le").hex(),
    "the same, the other way": KEY.encode("utf-16-be").hex(" "),
    "base64 of UTF-16": base64.b64encode(f"a {KEY}".encode("utf-16-le")).decode(),
    "a list in C": ", ".join(f"0x{ord(c):02X}" for c in KEY),
    "a list with no spaces": ",".join(f"0x{ord(c):02x}" for c in KEY),
    "octal escapes": "".join(f"\\{ord(c):03o}" for c in KEY),
    "octal escapes of C in JSON": "".join(f"\\\\{ord(c):03o}" for c in KEY),
    "decimal list": str(list(KEY.encode())),
    "decimal numbers": " ".join(str(ord(c)) for c in KEY),
    "decimal on lines": "\n".join(str(ord(c)) for c in KEY),
    "base32": base64.b32encode(KEY.encode()).decode(),
    **{
        f"base32 after {n}": base64.b32encode(b"x" * n + KEY.encode() + b"yz").decode()
        for n in range(1, 5)
    },
    "base32, lower case": base64.b32encode(KEY.encode()).decode().lower().rstrip("="),
    "base32hex": base64.b32hexencode(KEY.encode()).decode(),
    "Cyrillic": _alike(KEY, "aepckd", "\u0430\u0435\u0440\u0441\u043a\u0501"),
    "Greek": _alike(KEY, "apk", "\u03b1\u03c1\u03ba"),
}


@pytest.mark.parametrize("way", [*WAYS, *RARER])
def test_a_key_is_found_in_every_way_of_writing_it(way):
    text = f"Your key: {(WAYS | RARER)[way]}. I play LEFT"
    blotted = Secrets([OTHER, KEY]).blot(text)
    assert "[key]" in blotted
    assert blotted.startswith("Your key: ")
    assert blotted.endswith("I play LEFT")
    assert not leaks(blotted.encode(), KEY)
    assert len(blotted) < 80  # what is left of it is signs, or the word before it in base64


@pytest.mark.parametrize("key", ["", "x", "none", "EMPTY", "k3y", "ollama", "=-=-=-=-=-=-"])
def test_what_is_no_secret_is_left_in_texts(key):
    text = "none EMPTY x k3y ollama, =-=-=-=-=-=- LEFT \\u0078 %78"
    assert Secrets([key]).blot(text) == text


def test_ordinary_answers_are_unchanged():
    rng = random.Random(3)
    secrets = Secrets([KEY, OTHER, "lm-studio", "sk-proj-" + "Ab3dEf9h" * 19])
    words = [
        "0x73",
        "115, 107, 45",
        "\\163",
        "\u0430\u0435\u0440",
        "LEFT",
        "sk-",
        "the ball,",
        "0123",
        "planted",
        "\\n",
        "100%",
        "球",
        "{}",
        "&",
    ]
    for _ in range(300):
        text = " ".join(rng.choices(words, k=30))
        assert secrets.blot(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "\\",
        "%",
        "&amp;",
        "0x73,",
        "11 ",
        "115, ",
        "\\16",
        KEY,
        KEY[:14],
        KEY[:11],
        "<a",
        "\x1b[0",
        "0",
    ],
)
def test_a_long_text_is_read_in_one_pass(piece):
    assert Secrets([KEY]).blot(piece * (200_000 // len(piece)))  # would take hours if squared


def test_the_secrets_of_the_environment_are_known():
    environment = {
        "GEMINI_API_KEY": "short-of-gemini",
        "HF_TOKEN": "hf_0123456789abcdefghij",
        "SOME_TOKEN": "breakout",
        "https_proxy": "http://me:pass%20word-of-proxy@proxy:3128",
        "OPENAI_CUSTOM_HEADERS": "X-Team: atari\nX-Auth: Bearer of-a-header-123",
        "HOME": "/home/of/somebody/else",
    }
    known = Secrets(environment_secrets(environment))
    text = "short-of-gemini hf_0123456789abcdefghij pass word-of-proxy of-a-header-123"
    assert known.blot(text) == "[key] [key] [key] [key]"
    assert known.blot(" ".join(["breakout", "atari", "/home/of/somebody/else"])).count("[key]") == 0


# -- on every wire --------------------------------------------------------------------------------

WIRES = {
    "openai chat": ("openai", "gpt-4o", {}),
    "openai responses": ("openai", "gpt-6-luna", {"effort": "low"}),
    "compatible": ("openai-compatible", "served", {}),
    "openrouter": ("openai-compatible", "served", {"dialect": "openrouter"}),
    "anthropic": ("anthropic", "claude-sonnet-5-5", {}),
    "google": ("google", "gemini-3.5-flash-lite", {}),
}
PACKAGES = {"anthropic": "anthropic", "google": "google.genai"}


@pytest.fixture(params=WIRES)
def wire(request) -> tuple[str, str, dict[str, str]]:
    provider, model_id, more = WIRES[request.param]
    if provider in PACKAGES:
        pytest.importorskip(PACKAGES[provider], reason="an optional extra")
    return provider, model_id, more


def model_on(wire, server: Server, tries: int = 4, **more) -> HostedModel:
    provider, model_id, options = wire
    address = server.base_url if provider.startswith("openai") else server.url
    values = {"name": "m", "model_id": model_id, "provider": provider, "base_url": address}
    return HostedModel(
        HostedSettings(**values | options | {"tries": tries}),
        api_key=KEY,
        clock=FakeClock([]),
        **more,
    )


LEAKY = {"x-request-id": KEY, "request-id": KEY, "x-echo": KEY, "set-cookie": f"key={KEY}"}


def answers() -> Iterator[Answer]:
    """Answers with the key in every place that a server may write to, and every way in a text."""
    good = Answer(text="LEFT", headers=LEAKY)
    for way in WAYS.values():
        yield replace(good, text=f"Your key is {way}\nACTION: LEFT", thinking=f"They sent {way}")
    in_json = json.dumps({"reasoning": f"I was sent {KEY}", "action": "LEFT", "frames": 2})
    yield replace(good, text=in_json.replace("sk-", "\\u0073k-"))
    yield replace(good, text=f"ACTION: {KEY}")
    yield replace(good, model=f"model-of-{KEY}")
    yield replace(good, text=KEY, finish="refusal")
    yield replace(good, text=f"The key is {KEY[:-4]}", finish="length")


def failures() -> Iterator[Answer]:
    """The same for errors, and for what is no answer."""
    for text in (f"You sent {KEY}", f"You sent {WAYS['wrapped']}", WAYS["base64 of a header"]):
        for status in (400, 401, 404, 429, 500):
            code = f"code_{KEY}" if status != 429 else KEY
            yield Answer(status=status, message="." * 180 + text, code=code, headers=LEAKY)
        yield Answer(status=502, raw=f"<html><title>{text}</title>{text}</html>")
        yield Answer(raw=f"<html>{text}</html>", headers={"content-type": "text/html"})
        yield Answer(raw=json.dumps({"error": {"message": text, "code": KEY}, "model": text}))
        yield Answer(raw=json.dumps({"choices": text, "output": text, "content": text}))
        yield Answer(raw=json.dumps([text] * 3))
        yield Answer(status=418, raw=json.dumps({"detail": [{"msg": text, "loc": [KEY]}]}))


def played(trainer: VLMTrainer) -> list[str]:
    """Play, and return all that an error shows."""
    try:
        trainer.train(1)
    except AtariVLMError as error:
        chain = [repr(error.__cause__), repr(error.__context__)]
        return [repr(error), str(error), *chain, *traceback.format_exception(error)]
    return []


def test_what_a_server_says_of_the_key_is_in_no_file_output_log_or_error(
    wire, tmp_path, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("ANTHROPIC_API_KEY", OTHER)
    caplog.set_level(logging.DEBUG)
    script = [replace(each, text=f"{each.text} {OTHER}") for each in answers()]
    shown = []
    with Server(script) as server:
        model = model_on(wire, server, cache=CacheSettings(file=tmp_path / "cache" / "answers"))
        options = {"run_folder": tmp_path / "run", "progress": True, "prompt_type": "basic"}
        trainer = VLMTrainer("breakout", model=model, max_decisions=len(script), **options)
        shown += played(trainer)
        assert server.count >= len(script)
        assert any(KEY in str(request.headers) for request in server.requests)
        shown += [repr(trainer), repr(model), repr(vars(model)), repr(trainer.settings)]
    run = Run.read(tmp_path / "run")
    shown += [repr(step.calls[0].reply.text) for step in run.decisions(0)]
    assert any("[key]" in text for text in shown)
    run.close()
    write_replay(tmp_path / "run")
    shown += ["".join(capfd.readouterr()), *[each.getMessage() for each in caplog.records]]
    text = "\n".join(shown).encode()
    assert not leaks(text, KEY, OTHER)
    assert {"run.sqlite", "replay.html", "answers"} <= {path.name for path in tmp_path.rglob("*")}
    assert not leaks_in(tmp_path, KEY, OTHER)


async def asked(model: HostedModel, times: int) -> list[str]:
    """Ask, and return all that the errors and the answers show."""
    shown = []
    for _ in range(times):
        try:
            reply = await model.answer(make_prompt(), seed=1)
            shown += [repr(reply), reply.text]
        except AtariVLMError as error:
            shown += [repr(error), error.message, *traceback.format_exception(error)]
    await model.close()
    return shown


def test_no_error_of_a_server_shows_the_key(wire, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    script = list(failures())
    with Server(script) as server:
        shown = asyncio.run(asked(model_on(wire, server, tries=1), len(script)))
    assert server.count == len(script)
    assert any("[key]" in text for text in shown)
    shown += ["".join(capfd.readouterr()), *[each.getMessage() for each in caplog.records]]
    assert not leaks("\n".join(shown).encode(), KEY)


def test_the_search_finds_what_is_planted(tmp_path):
    folder = tmp_path / "found"
    for way in ("as it is", "upper case", "wrapped", "base64 of a header", "quoted", "reversed"):
        assert leaks(WAYS[way].encode(), KEY), way
    with Server(Answer(text=f"I was sent {OTHER}.\nACTION: LEFT")) as server:
        model = model_on(WIRES["compatible"], server)
        options = {"max_decisions": 2, "run_folder": folder, "progress": False}
        VLMTrainer("breakout", model=model, prompt_type="basic", **options).train(1)
    write_replay(folder)
    assert {Path(leak.partition(": ")[0]).name for leak in leaks_in(folder, OTHER)} >= {
        "run.sqlite",
        "replay.html",
    }
