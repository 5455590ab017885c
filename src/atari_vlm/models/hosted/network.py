"""The way to a server: proxies and certificates, as environment variables name them.

Loopback addresses need no proxy. What a variable names and cannot be used is one sentence with the
variable's name.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import ssl
from dataclasses import dataclass
from urllib.request import getproxies

import httpx2

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.hosted.deadline import connections
from atari_vlm.models.hosted.ways import CERTIFICATES, ProxyFailed


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the environment variable that names it."""

    url: str
    variable: str

    @property
    def name(self) -> str:
        """For messages: the variable and the address without user and password."""
        url = httpx2.URL(self.url)
        port = f":{url.port}" if url.port else ""
        return f"{self.variable} ({url.scheme}://{url.host}{port})"


class Network:
    """Connections to servers, opened when first used."""

    def __init__(self) -> None:
        self._transports: dict[tuple[Proxy | None, str], httpx2.AsyncHTTPTransport] = {}

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request by the way that the environment names; the body is not read yet.

        Raises:
            ModelUnusable: the proxy or the certificates that a variable names cannot be used.
            ProxyFailed: the proxy does not connect.
        """
        url = request.url
        proxy = proxy_for(url.scheme, url.host, url.port)
        way = (proxy, url.scheme)
        if way not in self._transports:
            self._transports[way] = _connect(proxy, url.scheme)
        try:
            return await self._transports[way].handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            behind = any(isinstance(cause, ssl.SSLError) for cause in (error, error.__cause__))
            if proxy is None or behind:
                raise
            timed_out = isinstance(error, httpx2.ConnectTimeout)
            raise ProxyFailed(proxy.name, timed_out) from error

    async def aclose(self) -> None:
        """Close all connections."""
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()


def proxy_for(scheme: str, host: str, port: int | None = None) -> Proxy | None:
    """The proxy for a server, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; None for none.

    >>> proxy_for("http", "127.0.0.1") is None
    True
    """
    if is_loopback(host):
        return None
    found = getproxies()
    url = found.get(scheme) or found.get("all")
    if not url or _excluded(host, port, found.get("no", "")):
        return None
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    variable = next((name for name in names if os.environ.get(name) == url), "the system's proxy")
    return Proxy(url if "://" in url else f"http://{url}", variable)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own: localhost, 127.0.0.0/8 or ::1.

    >>> [is_loopback(host) for host in ("localhost", "127.8.0.1", "::1", "example.org")]
    [True, True, True, False]
    """
    host = host.strip("[]").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _excluded(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether NO_PROXY lists a host: *, a domain, an address, a range of addresses, with a port."""
    for entry in no_proxy.split(","):
        name = entry.strip().lower().rpartition("://")[2].lstrip(".*")
        if entry.strip() == "*" or (name and name in (host.lower(), f"{host.lower()}:{port}")):
            return True
        if name and host.lower().endswith(f".{name}"):
            return True
        try:
            inside = ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
        except ValueError:
            continue
        if inside:
            return True
    return False


def _connect(proxy: Proxy | None, scheme: str) -> httpx2.AsyncHTTPTransport:
    url = _proxy_url(proxy) if proxy is not None else None
    proxy_secure = url is not None and url.scheme == "https"
    trusted = certificates() if scheme == "https" or proxy_secure else None
    return httpx2.AsyncHTTPTransport(
        verify=trusted or False,
        limits=httpx2.Limits(max_connections=connections(), max_keepalive_connections=100),
        proxy=url and httpx2.Proxy(url, ssl_context=trusted if proxy_secure else None),
    )


def _proxy_url(proxy: Proxy) -> httpx2.URL:
    """The address of a proxy.

    Raises:
        ModelUnusable: it is none, or requests cannot be sent through a proxy of this kind.
    """
    try:
        url = httpx2.URL(proxy.url)
        usable = bool(url.host) and "%" not in url.host and url.port != 0
    except (httpx2.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise ModelUnusable(
            f"{proxy.variable} names no address of a proxy. Correct it, or unset it."
        )
    if url.scheme not in ("http", "https", "socks5", "socks5h"):
        raise ModelUnusable(
            f"{proxy.name} names a proxy of an unknown kind; known are http, https and socks5. "
            f"Correct it, or unset it."
        )
    if url.scheme.startswith("socks5") and importlib.util.find_spec("socksio") is None:
        raise ModelUnusable(
            f"{proxy.name} names a SOCKS proxy, which needs socksio. Run: pip install socksio, "
            f"or unset {proxy.variable}."
        )
    return url


def certificates() -> ssl.SSLContext:
    """The certificates to trust: those of SSL_CERT_FILE or SSL_CERT_DIR, or the system's.

    Raises:
        ModelUnusable: a variable names none.
    """
    variable = next((name for name in CERTIFICATES if os.environ.get(name)), None)
    path = os.environ.get(variable, "") if variable else ""
    reason = ""
    if variable == "SSL_CERT_DIR" and not os.path.isdir(path):
        reason = "is no folder"
    try:
        if not reason:
            return httpx2.create_ssl_context()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if variable is None:
        raise ModelUnusable(f"The certificates of this system {reason}.")
    raise ModelUnusable(f"{variable}={path!r} {reason}. Correct it, or unset it.")
