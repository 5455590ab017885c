"""What can be said of the way to a server without the packages that go it, which load slowly."""

from __future__ import annotations

import os

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Environment variables that name the certificates to trust; the first that is set counts."""


class ProxyFailed(Exception):
    """A proxy could not be reached, or does not connect to the server."""

    def __init__(self, proxy: str, timed_out: bool) -> None:
        super().__init__(proxy)
        self.proxy, self.timed_out = proxy, timed_out


def certificates_from() -> str:
    """The variable that names the certificates to trust, with its value; "" for none."""
    variable = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    return f"{variable}={os.environ[variable]!r}" if variable else ""
