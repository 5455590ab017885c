"""Environment variables that the vendors' clients read: which count here, and which do not.

A variable that moves a vendor to another address, e.g. OPENAI_BASE_URL, is followed and said: the
address is that of the run, and without a price. What would change silently who gets a request, or
what is sent along, is hidden from the clients while they are made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

ALONG = {
    "openai": ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"),
    "anthropic": ("ANTHROPIC_CUSTOM_HEADERS",),
}
"""Provider -> variables whose values its client sends along: only to the vendor, or to where a
variable of that vendor moves it."""

NEVER = (
    "OPENAI_ADMIN_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_WEBHOOK_SECRET",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CONFIG_DIR",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_WEBHOOK_SIGNING_KEY",
    "GOOGLE_CLOUD_LOCATION",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_GENAI_CLIENT_MODE",
    "GOOGLE_GENAI_HTTP_CLIENT",
    "GOOGLE_GENAI_REPLAYS_DIRECTORY",
    "GOOGLE_GENAI_REPLAY_ID",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_GENAI_USE_VERTEXAI",
)
"""Variables that no client follows by itself: other keys, other addresses, other connections."""

IGNORED = {"openai": ("OPENAI_API_BASE", "OPENAI_API_HOST")}
"""Provider -> variables that other programs follow, and neither its client nor this package."""


def moved_to(variable: str, own: str) -> str | None:
    """The address that a variable moves a vendor to; None if it is not set or names its own.

    Args:
        variable: read from the environment; "" for none.
        own: the vendor's address.
    """
    address = os.environ.get(variable, "").strip() if variable else ""
    return None if is_same(address or own, own) else address


def is_same(address: str, other: str) -> bool:
    """Whether two addresses are spelled the same, but for a slash at the end."""
    return address.strip().rstrip("/").lower() == other.rstrip("/").lower()


def set_among(variables: Sequence[str]) -> list[str]:
    """Those of the variables that are set."""
    return [name for name in variables if os.environ.get(name, "").strip()]


@contextmanager
def hidden(provider: str) -> Iterator[None]:
    """Hide variables from a client that is made here for a provider."""
    others = (name for vendor, names in ALONG.items() if vendor != provider for name in names)
    names = (*NEVER, *others)
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
