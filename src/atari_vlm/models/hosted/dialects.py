"""How servers that speak as OpenAI does differ: one row a server.

Each row says how the server is held to an answer, which fields it takes, where it listens and
whether it wants a key. A prompt that asks for a JSON object (`Prompt.json`) is held to its schema,
one that asks for a line to the lines that are legal, where the server can do that.
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
class Wanted:
    """The answer that is wanted."""

    legal: tuple[str, ...]
    longest: int
    plans: bool
    json: bool
    """An object; otherwise one line."""
    ahead: int = 1
    """How many decisions it plans."""

    @property
    def schema(self) -> Fields:
        """Of the object."""
        return answer_schema(self.legal, self.longest, self.plans, self.ahead)

    @property
    def lines(self) -> list[str]:
        """Every line that is legal, where it plans one decision."""
        if not self.plans:
            return list(self.legal)
        return [f"ACTION: {name} x{k}" for name in self.legal for k in range(1, self.longest + 1)]

    @property
    def pattern(self) -> str:
        """Every line that is legal, as a regular expression."""
        one = f"({'|'.join(map(re.escape, self.legal))})"
        if self.plans:
            one += f" x({'|'.join(map(str, range(1, self.longest + 1)))})"
        if self.ahead > 1:
            return f"ACTIONS: {one}(, {one}){{{self.ahead - 1}}}"
        return f"ACTION: {one}" if self.plans else one

    @property
    def grammar(self) -> str:
        """The same in GBNF, llama.cpp's notation."""
        held = ' " x" frames' if self.plans else ""
        begin = ""
        if self.ahead > 1:
            begin = '"ACTIONS: " '
        elif self.plans:
            begin = '"ACTION: " '
        plans = f"name{held}" + f' ", " name{held}' * (self.ahead - 1)
        rules = [f"root ::= {begin}{plans}"]
        rules.append("name ::= " + " | ".join(f'"{name}"' for name in self.legal))
        if self.plans:
            frames = " | ".join(f'"{k}"' for k in range(1, self.longest + 1))
            rules.append(f"frames ::= {frames}")
        return "\n".join(rules)


def _nothing(wanted: Wanted) -> Fields:
    return {}


def _schema(wanted: Wanted) -> Fields:
    """OpenAI's own way to ask for an object."""
    schema = {"name": "decision", "schema": wanted.schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _loose_schema(wanted: Wanted) -> Fields:
    """The same for servers that do not know `strict`."""
    schema = {"name": "decision", "schema": wanted.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _vllm_line(wanted: Wanted) -> Fields:
    # guided_choice is gone since vLLM 0.12.
    if wanted.ahead > 1:
        return {"structured_outputs": {"regex": wanted.pattern}}
    return {"structured_outputs": {"choice": wanted.lines}}


def _sglang_line(wanted: Wanted) -> Fields:
    return {"regex": wanted.pattern}


def _lmdeploy_line(wanted: Wanted) -> Fields:
    return {"response_format": {"type": "regex_schema", "regex_schema": wanted.pattern}}


def _llamacpp_line(wanted: Wanted) -> Fields:
    return {"grammar": wanted.grammar}


def _effort(effort: str) -> Fields:
    return {"reasoning_effort": effort}


def _openrouter_effort(effort: str) -> Fields:
    return {"reasoning": {"effort": effort}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of OpenAI-compatible server."""

    label: str
    """In sentences: "vLLM at http://..."."""
    base_url: str | None = None
    """Where it listens unless told otherwise; None where that must be said."""
    object: Callable[[Wanted], Fields] = _schema
    """What holds an answer to its schema."""
    line: Callable[[Wanted], Fields] = _nothing
    """What holds an answer to one line."""
    seed: bool = True
    """Whether it samples by a seed."""
    detail: bool = False
    """Whether it minds how closely a picture is to be looked at."""
    effort: Callable[[str], Fields] | None = None
    """How it is told how long to think; None where it cannot be."""
    key_variables: tuple[str, ...] = ("ATARI_VLM_API_KEY",)
    needs_key: bool = False
    price_list: str | None = None
    """Its name in the public price list; None for servers that charge nobody."""
    always: Fields = field(default_factory=dict)
    """Sent with every request."""

    def constrain(self, wanted: Wanted) -> Fields:
        """The fields that hold an answer to what is wanted."""
        return (self.object if wanted.json else self.line)(wanted) if wanted.legal else {}


GENERIC = "generic"
"""The dialect of a server of which nothing is known."""

DIALECTS: dict[str, Dialect] = {
    "generic": Dialect(label="The server", detail=True, effort=_effort),
    "vllm": Dialect(
        label="vLLM",
        base_url="http://localhost:8000/v1",
        line=_vllm_line,
        effort=_effort,
    ),
    "sglang": Dialect(
        label="SGLang", base_url="http://localhost:30000/v1", line=_sglang_line, effort=_effort
    ),
    "lmdeploy": Dialect(
        label="LMDeploy", base_url="http://localhost:23333/v1", line=_lmdeploy_line
    ),
    "ollama": Dialect(
        label="Ollama", base_url="http://localhost:11434/v1", object=_loose_schema, effort=_effort
    ),
    "llamacpp": Dialect(
        label="llama.cpp", base_url="http://localhost:8080/v1", object=_loose_schema,
        line=_llamacpp_line,
    ),
    # It ignores response_format without a word, so nothing is sent and the answer is only read.
    "transformers-serve": Dialect(
        label="transformers serve", base_url="http://localhost:8000/v1", object=_nothing
    ),
    # Without require_parameters it may route to a provider that drops the schema.
    "openrouter": Dialect(
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        detail=True,
        seed=False,
        effort=_openrouter_effort,
        key_variables=("OPENROUTER_API_KEY",),
        needs_key=True,
        price_list="openrouter",
        always={"provider": {"require_parameters": True}},
    ),
}  # fmt: skip
"""Every dialect by the name `--dialect` takes."""


def get_dialect(name: str) -> Dialect:
    """The dialect of that name.

    >>> get_dialect("ollama").base_url
    'http://localhost:11434/v1'

    Raises:
        UnknownName: with the nearest name.
    """
    if name not in DIALECTS:
        raise unknown("dialect", name, DIALECTS)
    return DIALECTS[name]


@lru_cache(maxsize=256)
def constraint(
    name: str, legal: tuple[str, ...], longest: int, plans: bool, json: bool, ahead: int = 1
) -> Fields:
    """The fields that hold a server to an answer; empty where it is free text."""
    return get_dialect(name).constrain(Wanted(legal, longest, plans, json, ahead))
