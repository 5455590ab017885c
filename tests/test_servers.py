"""The loopback server is as strict as the vendors; all tests of hosted models rely on it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.servers import Server, server_process
from tests.vendor_apis import Answer

GOOD = {"model": "m", "messages": [{"role": "user", "content": "Act."}]}
NOT_A_PICTURE = {"url": "data:image/png;base64,bm8gcGljdHVyZQ=="}


def post(address: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(f"{address}/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "Act."}]},
        {"messages": [{"role": "assistant", "content": ""}]},
        user({"type": "image_url", "image_url": NOT_A_PICTURE}),
        user({"type": "image_url", "image_url": {"url": "http://elsewhere/picture.png"}}),
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
    ],
)
def test_a_malformed_request_is_refused(change):
    with Server() as server:
        status, reply = post(server.base_url, GOOD | change)
    assert status == 400
    assert reply["error"]["message"]


def test_answers_follow_the_script_and_requests_are_recorded():
    with Server([Answer(text="one"), Answer(text="two")]) as server:
        texts = [
            post(server.base_url, GOOD)[1]["choices"][0]["message"]["content"] for _ in range(3)
        ]
    assert texts == ["one", "two", "two"]
    assert [request.body for request in server.requests] == [GOOD] * 3


def test_an_unknown_path_is_not_found():
    with Server() as server:
        assert post(f"{server.url}/elsewhere", GOOD)[0] == 200
        assert post(f"{server.url}/x?", GOOD)[0] == 404


def test_it_runs_in_a_separate_process():
    with server_process() as address:
        status, reply = post(address, GOOD)
    assert status == 200
    assert json.loads(reply["choices"][0]["message"]["content"])["action"] == "LEFT"
