"""What a server answered, written anew: only known fields, each of its right type.

A vendor's client trusts its server. So nothing reaches it but what is copied here from the body:
texts, thoughts, why the answer ended, names and token counts. A null, a field of another type and a
block of an unknown kind are left out, and good text beside them is used. `cleaned` does this for
the four APIs: OpenAI's chat completions and responses, Anthropic's messages, Google's
generateContent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from atari_vlm.models.hosted.answer_fields import (
    THOUGHTS,
    Fields,
    StatedError,
    UnusableAnswer,
    check_said,
    counts_of,
    mapped,
    object_of,
    objects,
    raise_stated,
    retry_after_of,
    text_of,
    word,
)
from atari_vlm.models.hosted.event_streams import of_events


def cleaned(path: str, payload: object, headers: Mapping[str, str] | None = None) -> Fields:
    """The body of an answer with only what is known, for the vendor's client.

    Args:
        path: of the request, which tells the API.
        payload: the JSON value of the body.
        headers: of the answer.

    Raises:
        UnusableAnswer: the body is of another form, or says nothing.
        StatedError: the server states an error.
    """
    if isinstance(payload, list) and len(payload) == 1:  # Google's errors of streams
        payload = payload[0]
    if isinstance(payload, list) and path.endswith(":generateContent"):
        payload = of_events(path, payload)
    if not isinstance(payload, dict):
        raise UnusableAnswer("its JSON is no object")
    for ending, clean in _APIS.items():
        if path.endswith(ending):
            return clean(payload, retry_after_of(headers or {}))
    raise UnusableAnswer(f"the path {path} belongs to no API")


# -- the four APIs --------------------------------------------------------------------------------

_CHAT_ENDINGS = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


def _chat(body: Fields, retry_after: float | None) -> Fields:
    """OpenAI's chat completions, and servers that speak it."""
    raise_stated(body.get("error"), retry_after, charged=bool(body.get("usage")))
    choices = objects(body.get("choices"))
    if not choices:
        raise UnusableAnswer("it has no choices")
    choice = choices[0]
    raise_stated(choice.get("error"), retry_after, charged=True)
    given = choice.get("finish_reason")
    message = object_of(choice.get("message"))
    content = message.get("content")
    text, refusal = text_of(content), text_of(message.get("refusal"))
    thinking = (
        text_of(message.get("reasoning_content"))
        or text_of(message.get("reasoning"))
        or text_of(content, THOUGHTS)
    )
    check_said(text, refusal, thinking, word(given), message)
    if word(given).lower() == "error" and not text:
        raise StatedError(None, "error", "", charged=True)
    answer: Fields = {"role": "assistant", "content": text or None}
    if refusal:
        answer["refusal"] = refusal
    if thinking:
        answer["reasoning_content"] = thinking
    clean = {
        "id": word(body.get("id")),
        "object": "chat.completion",
        "created": 0,
        "model": word(body.get("model")),
        "choices": [
            {"index": 0, "message": answer, "finish_reason": mapped(given, _CHAT_ENDINGS, "stop")}
        ],
    }
    return _with_usage(clean, body, ("prompt_tokens", "completion_tokens"))


_TIERS = ("auto", "default", "flex", "scale", "priority")


def _with_usage(clean: Fields, body: Fields, both: tuple[str, str]) -> Fields:
    """The answer with its token counts, and the tier of service, which has a price."""
    if (counts := counts_of(body.get("usage"), both)) is not None:
        # The client needs a total, which some servers leave out.
        clean["usage"] = {**counts, "total_tokens": counts[both[0]] + counts[both[1]]}
    if body.get("service_tier") in _TIERS:
        clean["service_tier"] = body["service_tier"]
    return clean


def _responses(body: Fields, retry_after: float | None) -> Fields:
    """OpenAI's responses."""
    status = word(body.get("status"))
    raise_stated(body.get("error"), retry_after, charged=True)
    items = objects(body.get("output"))
    contents = [item.get("content") for item in items if item.get("type", "message") == "message"]
    text = "".join(map(text_of, contents))
    if status in ("failed", "cancelled") and not text:
        raise StatedError(None, status, "", charged=True)
    parts = [part for content in contents for part in objects(content)]
    refusal = "".join(text_of(part.get("refusal")) for part in parts)
    thinking = "\n".join(_reasoning(items))
    reason = word(object_of(body.get("incomplete_details")).get("reason"))
    check_said(text, refusal, thinking, reason, status == "completed" and items)
    said: list[Fields] = [{"type": "output_text", "text": text, "annotations": []}]
    if refusal:
        said.append({"type": "refusal", "refusal": refusal})
    cut = reason or ("max_output_tokens" if status == "incomplete" else "")
    state = "incomplete" if cut else "completed"
    output: list[Fields] = [
        {"type": "message", "id": "m", "role": "assistant", "status": state, "content": said}
    ]
    if thinking:
        summary = [{"type": "summary_text", "text": thinking}]
        output.insert(0, {"type": "reasoning", "id": "r", "summary": summary})
    why = "content_filter" if "filter" in cut else "max_output_tokens"
    clean = {
        "id": word(body.get("id")),
        "object": "response",
        "created_at": 0,
        "model": word(body.get("model")),
        "status": state,
        "incomplete_details": {"reason": why} if cut else None,
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }
    return _with_usage(clean, body, ("input_tokens", "output_tokens"))


def _reasoning(items: list[Fields]) -> Iterator[str]:
    """The thoughts in the output of a response: their summaries, or the thoughts themselves."""
    for item in items:
        if item.get("type") == "reasoning":
            for block in objects(item.get("summary")) or objects(item.get("content")):
                if thought := text_of(block.get("text")):
                    yield thought


_MESSAGE_ENDINGS = {
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "refusal": "refusal",
    "tool_use": "tool_use",
}


def _messages(body: Fields, retry_after: float | None) -> Fields:
    """Anthropic's messages."""
    if body.get("type") == "error":
        error = body.get("error") or "no reason given"
        raise_stated(error, retry_after, charged=bool(body.get("usage")))
    raise_stated(body.get("error"), retry_after, charged=bool(body.get("usage")))
    content = body.get("content")
    text, thinking = text_of(content), text_of(content, THOUGHTS)
    given = body.get("stop_reason")
    check_said(text, thinking, word(given))
    blocks: list[Fields] = []
    if thinking:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": ""})
    if text:
        blocks.append({"type": "text", "text": text})
    usage = object_of(body.get("usage"))
    counts = counts_of(usage, ("input_tokens", "output_tokens"))
    if counts is None:
        counts = {"input_tokens": 0, "output_tokens": 0}  # the client needs some
    for name in ("service_tier", "inference_geo", "speed"):  # they have a price
        if stated := word(usage.get(name)):
            counts[name] = stated
    return {
        "id": word(body.get("id")),
        "type": "message",
        "role": "assistant",
        "model": word(body.get("model")),
        "content": blocks,
        "stop_reason": mapped(given, _MESSAGE_ENDINGS, "end_turn"),
        "stop_sequence": None,
        "usage": counts,
    }


_GOOGLE_ENDINGS = {
    name.lower(): name
    for name in (
        *("STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST"),
        *("PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY"),
    )
}
_BLOCKS = ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")


def _generated(body: Fields, retry_after: float | None) -> Fields:
    """Google's generateContent."""
    raise_stated(body.get("error"), retry_after, charged=bool(body.get("usageMetadata")))
    clean: Fields = {
        "modelVersion": word(body.get("modelVersion")),
        "responseId": word(body.get("responseId")),
    }
    candidates = objects(body.get("candidates"))
    feedback = object_of(body.get("promptFeedback"))
    if candidates:
        clean["candidates"] = [_candidate(candidates[0])]
    elif blocked := word(feedback.get("blockReason")):
        clean["promptFeedback"] = {"blockReason": blocked if blocked in _BLOCKS else "OTHER"}
    else:
        raise UnusableAnswer("it has no candidates")
    counts = counts_of(
        body.get("usageMetadata"),
        ("promptTokenCount", "candidatesTokenCount"),
        optional="candidatesTokenCount",  # left out if all tokens were thoughts
    )
    if counts is not None:
        clean["usageMetadata"] = {name: counts[name] for name in _GOOGLE_COUNTS if name in counts}
    return clean


_GOOGLE_COUNTS = (
    *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"),
    *("thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"),
)


def _candidate(candidate: Fields) -> Fields:
    parts = objects(object_of(candidate.get("content")).get("parts"))
    texts = "".join(text_of(part.get("text")) for part in parts if part.get("thought") is not True)
    thoughts = [text_of(part.get("text")) for part in parts if part.get("thought") is True]
    given = candidate.get("finishReason")
    check_said(texts, *thoughts, word(given))
    clean: list[Fields] = [{"text": text, "thought": True} for text in thoughts if text]
    if texts:
        clean.append({"text": texts})
    finish = mapped(given, _GOOGLE_ENDINGS, "STOP" if texts else "OTHER")
    content = {"role": "model", "parts": clean}
    return {"index": 0, "content": content, "finishReason": finish}


_APIS: Mapping[str, Callable[[Fields, float | None], Fields]] = {
    "/chat/completions": _chat,
    "/responses": _responses,
    "/messages": _messages,
    ":generateContent": _generated,
}
"""By the end of the path of a request."""
