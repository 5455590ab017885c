"""Loopback servers at the vendors' own addresses, for tests of their prices and of whole commands.

A variable such as OPENAI_BASE_URL makes a server a stranger, who has no price. So the table of
vendors is given other addresses: here, and by `sitecustomize` in the programs that a test starts.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from atari_vlm.models.hosted.vendors import VENDORS
from tests.servers import Server

PREFIX = "TEST_ADDRESS_OF_"


def address_of(provider: str, server: Server) -> str:
    """What the client of a vendor takes for its address."""
    return server.base_url if provider == "openai" else server.url


def environment_of(**servers: Server) -> dict[str, str]:
    """The environment of programs for which servers are vendors, by provider."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    found = {PREFIX + name: address_of(name, server) for name, server in servers.items()}
    return {**found, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def serve_as(monkeypatch, **servers: Server) -> None:
    """Let servers be vendors, by provider, in this process and in those that it starts."""
    for name, server in servers.items():
        address = address_of(name, server)
        monkeypatch.setitem(VENDORS, name, replace(VENDORS[name], address=address))
    for variable, value in environment_of(**servers).items():
        monkeypatch.setenv(variable, value)
