"""The APIs of OpenAI (chat, responses), Anthropic and Google, for the loopback server.

An API validates requests as strictly as the vendor and renders an Answer as the vendor's JSON. A
malformed request gets a 400 with the reason, so no test passes with a request a vendor refuses.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Answer:
    """The server's answer to one request, or its failure."""

    text: str = '{"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 2}'
    status: int = 200
    code: str = ""
    """The vendor's machine-readable error code, e.g. "insufficient_quota"."""
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    raw: str | None = None
    """Sent as the body in place of the vendor's JSON."""
    drop: bool = False
    """Close the connection without an answer."""
    finish: str = "stop"
    """"stop", "length" or "refusal"."""
    thinking: str = ""
    tokens: tuple[int, int, int] | None = (900, 300, 40)
    """Input tokens (cached ones included), cached tokens, output tokens; None sends no usage."""
    reasoned: int = 0
    """The reasoning tokens among the output tokens."""
    model: str | None = None
    """The model that the response names; None for the requested one."""


class BadRequest(Exception):
    """The vendor answers 400 to such a request."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise BadRequest(message)


def check_png(data: str) -> None:
    # Google's client sends URL-safe base64, the others the standard alphabet.
    url_safe = "-" in data or "_" in data
    content = base64.b64decode(data, altchars=b"-_" if url_safe else None)
    require(content[:8] == PNG, "image is not a PNG")


class OpenAI:
    """POST {base}/chat/completions."""

    @staticmethod
    def check(path: str, body: dict[str, Any]) -> None:
        require(isinstance(body.get("model"), str), "model must be a string")
        require(body.get("messages"), "messages must not be empty")
        for message in body["messages"]:
            require(message["role"] in {"system", "user", "assistant"}, "unknown role")
            parts = message["content"] if isinstance(message["content"], list) else []
            require(parts or message["content"], "content must not be empty")
            for part in parts:
                require(part["type"] in {"text", "image_url"}, "unknown part type")
                if part["type"] == "image_url":
                    require(message["role"] == "user", "only a user may send images")
                    head, _, data = part["image_url"]["url"].partition(",")
                    require(head == "data:image/png;base64", "image must be a PNG data URI")
                    check_png(data)
        form = body.get("response_format")
        if form and form["type"] == "regex_schema":  # LMDeploy's
            require(isinstance(form["regex_schema"], str), "regex_schema must be a string")
        elif form:
            require(form["type"] == "json_schema", "unknown response_format")
            schema = form["json_schema"]["schema"]
            require(form["json_schema"]["name"], "a schema needs a name")
            require(schema["additionalProperties"] is False, "strict: additionalProperties")
            require(set(schema["required"]) == set(schema["properties"]), "strict: required")

    @staticmethod
    def model(path: str, body: dict[str, Any]) -> str:
        return str(body["model"])

    @staticmethod
    def render(answer: Answer, model: str, number: int) -> dict[str, Any]:
        if answer.status >= 400:
            error = {"message": answer.message, "type": "error", "code": answer.code or None}
            return {"error": error | {"param": None}}
        message: dict[str, Any] = {"role": "assistant", "content": answer.text}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.finish == "refusal":
            message |= {"content": None, "refusal": answer.text}
        reply: dict[str, Any] = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_790_000_000,
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": "length" if answer.finish == "length" else "stop",
                }
            ],
        }
        if answer.tokens:
            read, cached, written = answer.tokens
            reply["usage"] = {
                "prompt_tokens": read,
                "completion_tokens": written,
                "total_tokens": read + written,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": answer.reasoned},
            }
        return reply


class Responses:
    """POST {base}/responses, OpenAI's API for reasoning models."""

    KNOWN = {"model", "input", "stream", "max_output_tokens", "temperature", "reasoning"} | {
        "text",
        "prompt_cache_options",
    }

    @classmethod
    def check(cls, path: str, body: dict[str, Any]) -> None:
        require(isinstance(body.get("model"), str), "model must be a string")
        require(set(body) <= cls.KNOWN, f"unknown parameter: {set(body) - cls.KNOWN}")
        require(body.get("input"), "input must not be empty")
        for item in body["input"]:
            require(item["role"] in {"system", "user", "assistant"}, "unknown role")
            require(item["content"], "content must not be empty")
            for part in item["content"] if isinstance(item["content"], list) else []:
                cls._part(item["role"], part)
        if "reasoning" in body:
            require(body["reasoning"]["effort"] in {"low", "medium", "high"}, "unknown effort")
            require(body["reasoning"].get("summary", "auto") == "auto", "unknown summary")
            require("temperature" not in body, "temperature is not supported with this model")
        if form := body.get("text", {}).get("format"):
            require(form["type"] == "json_schema" and form["name"], "unknown text.format")
            require(form["schema"]["additionalProperties"] is False, "strict")

    @staticmethod
    def _part(role: str, part: dict[str, Any]) -> None:
        allowed = {"assistant": {"output_text"}}.get(role, {"input_text", "input_image"})
        require(part["type"] in allowed, f"{part['type']} is not a part of {role}")
        if part["type"] == "input_image":
            require(role == "user", "only a user may send images")
            require(part["detail"] in {"auto", "low", "high"}, "unknown detail")
            head, _, data = part["image_url"].partition(",")
            require(head == "data:image/png;base64", "image must be a PNG data URI")
            check_png(data)

    model = OpenAI.model

    @staticmethod
    def render(answer: Answer, model: str, number: int) -> dict[str, Any]:
        if answer.status >= 400:
            return OpenAI.render(answer, model, number)
        content = {"type": "output_text", "text": answer.text, "annotations": []}
        if answer.finish == "refusal":
            content = {"type": "refusal", "refusal": answer.text}
        cut = answer.finish == "length"
        status = "incomplete" if cut else "completed"
        output: list[dict[str, Any]] = [
            {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": status,
                "content": [content],
            }
        ]
        if answer.thinking:
            summary = [{"type": "summary_text", "text": answer.thinking}]
            output.insert(0, {"type": "reasoning", "id": f"rs_{number}", "summary": summary})
        reply: dict[str, Any] = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_790_000_000,
            "model": model,
            "status": status,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        if answer.tokens:
            read, cached, written = answer.tokens
            reply["usage"] = {
                "input_tokens": read,
                "input_tokens_details": {"cached_tokens": cached},
                "output_tokens": written,
                "output_tokens_details": {"reasoning_tokens": answer.reasoned},
                "total_tokens": read + written,
            }
        return reply


class Anthropic:
    """POST {base}/v1/messages."""

    @staticmethod
    def check(path: str, body: dict[str, Any]) -> None:
        require(isinstance(body.get("model"), str), "model must be a string")
        require(isinstance(body.get("max_tokens"), int), "max_tokens is required")
        require(body.get("messages"), "messages must not be empty")
        require(body["messages"][0]["role"] == "user", "the first message must be the user's")
        for message in body["messages"]:
            require(message["role"] in {"user", "assistant"}, "unknown role")
            require(message["content"], "content must not be empty")
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part["type"] == "image":
                    require(part["source"]["media_type"] == "image/png", "image must be a PNG")
                    check_png(part["source"]["data"])
                else:
                    require(part["type"] == "text" and part["text"], "text must not be empty")

    model = OpenAI.model

    @staticmethod
    def render(answer: Answer, model: str, number: int) -> dict[str, Any]:
        if answer.status >= 400:
            error = {"type": answer.code or "error", "message": answer.message}
            return {"type": "error", "error": error, "request_id": f"req_{number}"}
        content = [{"type": "text", "text": answer.text}] if answer.text else []
        if answer.thinking:
            thought = {"type": "thinking", "thinking": answer.thinking, "signature": "c2ln"}
            content.insert(0, thought)
        read, cached, written = answer.tokens or (0, 0, 0)
        stop = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}[answer.finish]
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {
                "input_tokens": read - cached,
                "cache_read_input_tokens": cached,
                "cache_creation_input_tokens": 0,
                "output_tokens": written,
            },
        }


class Google:
    """POST {base}/v1beta/models/MODEL:generateContent."""

    @staticmethod
    def check(path: str, body: dict[str, Any]) -> None:
        require(body.get("contents"), "contents must not be empty")
        for content in body["contents"]:
            require(content["role"] in {"user", "model"}, "unknown role")
            require(content["parts"], "parts must not be empty")
            for part in content["parts"]:
                require("text" in part or "inlineData" in part, "unknown part")
                if "inlineData" in part:
                    Google._media(part)

    @staticmethod
    def _media(part: dict[str, Any]) -> None:
        data = part["inlineData"]
        # Google accepts both spellings of a field; its own client uses both.
        kind = data.get("mimeType", data.get("mime_type"))
        if kind == "image/png":
            require("videoMetadata" not in part, "an image has no video metadata")
            return check_png(data["data"])
        require(kind == "video/mp4", "media must be a PNG or an MP4")
        content = base64.b64decode(data["data"], altchars=b"-_")
        require(content[4:8] == b"ftyp", "video is not an MP4")
        fps = part.get("videoMetadata", {}).get("fps", 1.0)
        require(0 < fps <= 24, "fps must be in (0, 24]")

    @staticmethod
    def model(path: str, body: dict[str, Any]) -> str:
        return path.rpartition("/")[2].partition(":")[0]

    @staticmethod
    def render(answer: Answer, model: str, number: int) -> dict[str, Any]:
        if answer.status >= 400:
            error = {"code": answer.status, "message": answer.message, "status": answer.code}
            return {"error": error}
        parts: list[dict[str, Any]] = [{"text": answer.text}]
        if answer.thinking:
            parts.insert(0, {"text": answer.thinking, "thought": True})
        read, cached, written = answer.tokens or (0, 0, 0)
        stop = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}[answer.finish]
        return {
            "candidates": [
                {"content": {"role": "model", "parts": parts}, "finishReason": stop, "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": read,
                "cachedContentTokenCount": cached,
                "candidatesTokenCount": written - answer.reasoned,
                "thoughtsTokenCount": answer.reasoned,
                "totalTokenCount": read + written,
            },
            "modelVersion": model,
            "responseId": f"resp-{number}",
        }


Api = type[OpenAI] | type[Responses] | type[Anthropic] | type[Google]


def api_for(path: str) -> Api | None:
    """The API of a path; None for an unknown path."""
    path = path.partition("?")[0]
    if path.endswith("/responses"):
        return Responses
    if path.endswith("/chat/completions"):
        return OpenAI
    if path.endswith("/v1/messages"):
        return Anthropic
    return Google if path.endswith(":generateContent") else None


def encode(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload).encode()
