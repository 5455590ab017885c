"""How the loopback server speaks as OpenAI (chat, responses), Anthropic and Google do.

A wire turns an Answer into that vendor's JSON, and reads a request as strictly as the vendor would:
a malformed body gets a 400 that says why, so no test can pass on a request a vendor would refuse.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    text: str = '{"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 2}'
    status: int = 200
    code: str = ""
    """The vendor's machine-readable error code, e.g. "insufficient_quota"."""
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    raw: str | None = None
    """Sent as the body, whatever it is, in place of the vendor's JSON."""
    drop: bool = False
    """Close the connection without an answer."""
    finish: str = "stop"
    """"stop", "length" or "refusal"."""
    thinking: str = ""
    tokens: tuple[int, int, int] | None = (900, 300, 40)
    """Tokens read (cached ones included), cached, written; None sends no usage."""
    reasoned: int = 0
    """Those of the written tokens that were thoughts."""
    model: str | None = None
    """The model the server says it used; None repeats the one asked for."""


class BadRequest(Exception):
    """The vendor would answer 400 to this body."""


def need(condition: object, complaint: str) -> None:
    if not condition:
        raise BadRequest(complaint)


def check_png(data: str) -> None:
    # Google's client writes url-safe base64, the others the standard alphabet.
    need(base64.b64decode(data, altchars=b"-_" if "-" in data or "_" in data else None)[:8] == PNG,
         "image is not a PNG")  # fmt: skip


class OpenAI:
    """POST {base}/chat/completions."""

    @staticmethod
    def check(path: str, body: dict[str, Any]) -> None:
        need(isinstance(body.get("model"), str), "model must be a string")
        need(body.get("messages"), "messages must not be empty")
        for message in body["messages"]:
            need(message["role"] in {"system", "user", "assistant"}, "unknown role")
            parts = message["content"] if isinstance(message["content"], list) else []
            need(parts or message["content"], "content must not be empty")
            for part in parts:
                need(part["type"] in {"text", "image_url"}, "unknown part type")
                if part["type"] == "image_url":
                    need(message["role"] == "user", "only a user may send images")
                    head, _, data = part["image_url"]["url"].partition(",")
                    need(head == "data:image/png;base64", "image must be a PNG data URI")
                    check_png(data)
        wanted = body.get("response_format")
        if wanted and wanted["type"] == "regex_schema":  # LMDeploy's
            need(isinstance(wanted["regex_schema"], str), "regex_schema must be a string")
        elif wanted:
            need(wanted["type"] == "json_schema", "unknown response_format")
            schema = wanted["json_schema"]["schema"]
            need(wanted["json_schema"]["name"], "a schema needs a name")
            need(schema["additionalProperties"] is False, "strict: additionalProperties")
            need(set(schema["required"]) == set(schema["properties"]), "strict: required")

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
    """POST {base}/responses, OpenAI's API for models that reason."""

    KNOWN = {"model", "input", "stream", "max_output_tokens", "temperature", "reasoning"} | {
        "text",
        "prompt_cache_options",
    }

    @classmethod
    def check(cls, path: str, body: dict[str, Any]) -> None:
        need(isinstance(body.get("model"), str), "model must be a string")
        need(set(body) <= cls.KNOWN, f"unknown parameter: {set(body) - cls.KNOWN}")
        need(body.get("input"), "input must not be empty")
        for item in body["input"]:
            need(item["role"] in {"system", "user", "assistant"}, "unknown role")
            need(item["content"], "content must not be empty")
            for part in item["content"] if isinstance(item["content"], list) else []:
                cls._part(item["role"], part)
        if "reasoning" in body:
            need(body["reasoning"]["effort"] in {"low", "medium", "high"}, "unknown effort")
            need(body["reasoning"].get("summary", "auto") == "auto", "unknown summary")
            need("temperature" not in body, "temperature is not supported with this model")
        if wanted := body.get("text", {}).get("format"):
            need(wanted["type"] == "json_schema" and wanted["name"], "unknown text.format")
            need(wanted["schema"]["additionalProperties"] is False, "strict")

    @staticmethod
    def _part(role: str, part: dict[str, Any]) -> None:
        allowed = {"assistant": {"output_text"}}.get(role, {"input_text", "input_image"})
        need(part["type"] in allowed, f"{part['type']} is not a part of {role}")
        if part["type"] == "input_image":
            need(role == "user", "only a user may send images")
            need(part["detail"] in {"auto", "low", "high"}, "unknown detail")
            head, _, data = part["image_url"].partition(",")
            need(head == "data:image/png;base64", "image must be a PNG data URI")
            check_png(data)

    model = OpenAI.model

    @staticmethod
    def render(answer: Answer, model: str, number: int) -> dict[str, Any]:
        if answer.status >= 400:
            return OpenAI.render(answer, model, number)
        said = {"type": "output_text", "text": answer.text, "annotations": []}
        if answer.finish == "refusal":
            said = {"type": "refusal", "refusal": answer.text}
        cut = answer.finish == "length"
        status = "incomplete" if cut else "completed"
        output: list[dict[str, Any]] = [
            {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": status,
                "content": [said],
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
        need(isinstance(body.get("model"), str), "model must be a string")
        need(isinstance(body.get("max_tokens"), int), "max_tokens is required")
        need(body.get("messages"), "messages must not be empty")
        need(body["messages"][0]["role"] == "user", "the first message must be the user's")
        for message in body["messages"]:
            need(message["role"] in {"user", "assistant"}, "unknown role")
            need(message["content"], "content must not be empty")
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part["type"] == "image":
                    need(part["source"]["media_type"] == "image/png", "image must be a PNG")
                    check_png(part["source"]["data"])
                else:
                    need(part["type"] == "text" and part["text"], "text must not be empty")

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
        need(body.get("contents"), "contents must not be empty")
        for content in body["contents"]:
            need(content["role"] in {"user", "model"}, "unknown role")
            need(content["parts"], "parts must not be empty")
            for part in content["parts"]:
                need("text" in part or "inlineData" in part, "unknown part")
                if picture := part.get("inlineData"):
                    # Google reads either spelling of a field; its own client writes both.
                    kind = picture.get("mimeType", picture.get("mime_type"))
                    need(kind == "image/png", "image must be a PNG")
                    check_png(picture["data"])

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
    """Whose address a path is; None for a path that no vendor serves."""
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
