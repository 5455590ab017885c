"""Differences between OpenAI-compatible servers: one table entry per kind of server.

An entry gives the request fields that constrain an answer, the fields the server accepts, its usual
address and whether it needs a key. If the server supports it, an answer to a prompt for a JSON
object (`Prompt.json`) is constrained to the object's schema, any other answer to the legal lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from atari_vlm.errors import unknown
from atari_vlm.models.hosted.message_conversion import answer_schema

Fields: TypeAlias = dict[str, Any]
"""Fields of a request's body."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """The form of the answer that a prompt asks for."""

    legal: tuple[str, ...]
    longest: int
    plans: bool
    json: bool
    """Whether it is a JSON object; otherwise one line."""
    chunk_size: int = 1
    """Number of decisions in the answer."""

    @property
    def schema(self) -> Fields:
        """JSON schema of the object."""
        return answer_schema(self.legal, self.longest, self.plans, self.chunk_size)

    @property
    def lines(self) -> list[str]:
        """All legal lines, if the answer has one decision."""
        if not self.plans:
            return list(self.legal)
        return [f"ACTION: {name} x{k}" for name in self.legal for k in range(1, self.longest + 1)]

    @property
    def pattern(self) -> str:
        """A regular expression that matches all legal lines."""
        one = f"({'|'.join(map(re.escape, self.legal))})"
        if self.plans:
            one += f" x({'|'.join(map(str, range(1, self.longest + 1)))})"
        if self.chunk_size > 1:
            return f"ACTIONS: {one}(, {one}){{{self.chunk_size - 1}}}"
        return f"ACTION: {one}" if self.plans else one

    @property
    def grammar(self) -> str:
        """The same as a GBNF grammar for llama.cpp."""
        frames = ' " x" frames' if self.plans else ""
        begin = ""
        if self.chunk_size > 1:
            begin = '"ACTIONS: " '
        elif self.plans:
            begin = '"ACTION: " '
        plans = f"name{frames}" + f' ", " name{frames}' * (self.chunk_size - 1)
        rules = [f"root ::= {begin}{plans}"]
        rules.append("name ::= " + " | ".join(f'"{name}"' for name in self.legal))
        if self.plans:
            numbers = " | ".join(f'"{k}"' for k in range(1, self.longest + 1))
            rules.append(f"frames ::= {numbers}")
        return "\n".join(rules)


def _no_fields(answer: AnswerFormat) -> Fields:
    return {}


def _json_schema(answer: AnswerFormat) -> Fields:
    """OpenAI's structured outputs."""
    schema = {"name": "decision", "schema": answer.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _json_schema_without_strict(answer: AnswerFormat) -> Fields:
    """The same for servers that do not accept `strict`."""
    schema = {"name": "decision", "schema": answer.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _vllm_line(answer: AnswerFormat) -> Fields:
    # vLLM 0.12 removed guided_choice.
    if answer.chunk_size > 1:
        return {"structured_outputs": {"regex": answer.pattern}}
    return {"structured_outputs": {"choice": answer.lines}}


def _sglang_line(answer: AnswerFormat) -> Fields:
    return {"regex": answer.pattern}


def _lmdeploy_line(answer: AnswerFormat) -> Fields:
    return {"response_format": {"type": "regex_schema", "regex_schema": answer.pattern}}


def _llamacpp_line(answer: AnswerFormat) -> Fields:
    return {"grammar": answer.grammar}


def _effort(effort: str) -> Fields:
    return {"reasoning_effort": effort}


def _openrouter_effort(effort: str) -> Fields:
    return {"reasoning": {"effort": effort}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of OpenAI-compatible server."""

    label: str
    """Name for messages, as in "vLLM at http://..."."""
    base_url: str | None = None
    """Default address; None if there is none."""
    json_fields: Callable[[AnswerFormat], Fields] = _json_schema
    """The request fields that constrain a JSON answer to its schema."""
    line_fields: Callable[[AnswerFormat], Fields] = _no_fields
    """The request fields that constrain an answer to one legal line."""
    seed: bool = True
    """Whether it accepts a sampling seed."""
    detail: bool = False
    """Whether it accepts `detail` for images."""
    effort_fields: Callable[[str], Fields] | None = None
    """The request fields that set the reasoning effort; None if it accepts none."""
    key_variables: tuple[str, ...] = ("ATARI_VLM_API_KEY",)
    needs_key: bool = False
    price_list: str | None = None
    """Its name in the public price list; None for servers that charge nothing."""
    extra_body: Fields = field(default_factory=dict)
    """Fields of every request."""

    def constraint(self, answer: AnswerFormat) -> Fields:
        """The request fields that constrain an answer to its form; empty for free text."""
        if not answer.legal:
            return {}
        return self.json_fields(answer) if answer.json else self.line_fields(answer)


GENERIC = "generic"
"""The dialect of an unknown kind of server."""

DIALECTS: dict[str, Dialect] = {
    "generic": Dialect(label="The server", detail=True, effort_fields=_effort),
    "vllm": Dialect(
        label="vLLM",
        base_url="http://localhost:8000/v1",
        line_fields=_vllm_line,
        effort_fields=_effort,
    ),
    "sglang": Dialect(
        label="SGLang",
        base_url="http://localhost:30000/v1",
        line_fields=_sglang_line,
        effort_fields=_effort,
    ),
    "lmdeploy": Dialect(
        label="LMDeploy", base_url="http://localhost:23333/v1", line_fields=_lmdeploy_line
    ),
    "ollama": Dialect(
        label="Ollama",
        base_url="http://localhost:11434/v1",
        json_fields=_json_schema_without_strict,
        effort_fields=_effort,
    ),
    "llamacpp": Dialect(
        label="llama.cpp",
        base_url="http://localhost:8080/v1",
        json_fields=_json_schema_without_strict,
        line_fields=_llamacpp_line,
    ),
    # It silently ignores response_format, so the answer is only parsed.
    "transformers-serve": Dialect(
        label="transformers serve", base_url="http://localhost:8000/v1", json_fields=_no_fields
    ),
    # Without require_parameters it may route to a provider that ignores the schema.
    "openrouter": Dialect(
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        detail=True,
        seed=False,
        effort_fields=_openrouter_effort,
        key_variables=("OPENROUTER_API_KEY",),
        needs_key=True,
        price_list="openrouter",
        extra_body={"provider": {"require_parameters": True}},
    ),
}
"""All dialects by name, as `dialect` takes it."""


def get_dialect(name: str) -> Dialect:
    """The dialect of that name.

    >>> get_dialect("ollama").base_url
    'http://localhost:11434/v1'

    Raises:
        UnknownName: no dialect has this name.
    """
    if name not in DIALECTS:
        raise unknown("dialect", name, DIALECTS)
    return DIALECTS[name]


@lru_cache(maxsize=256)
def constraint_fields(
    name: str, legal: tuple[str, ...], longest: int, plans: bool, json: bool, chunk_size: int = 1
) -> Fields:
    """The request fields by which a dialect constrains an answer; empty for free text."""
    return get_dialect(name).constraint(AnswerFormat(legal, longest, plans, json, chunk_size))
