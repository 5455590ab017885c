"""Proxies and certificates that environment variables name."""

from __future__ import annotations

import socket
import threading

import pytest

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.hosted.network import is_loopback, proxy_for
from tests.servers import Server
from tests.wires import WIRES, ask

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
ELSEWHERE = "http://vlm.example.org/v1"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request):
    return request.param


@pytest.fixture
def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("value", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "nonsense://"])
def test_a_server_of_this_machine_needs_no_proxy(wire, name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with Server() as server:
        assert ask(wire, server).reply is not None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_addresses(host, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert is_loopback(host)
    assert proxy_for("http", host) is None
    assert proxy_for("http", "10.0.0.1") is not None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("socks5://127.0.0.1:1", "names a SOCKS proxy, which needs socksio"),
        ("ftp://127.0.0.1:1", "names a proxy of an unknown kind"),
        ("http://", "names no address of a proxy"),
        ("http://127.0.0.1:port", "names no address of a proxy"),
        ("http://[", "names no address of a proxy"),
        ("http://me:SECRET@127.0.0.1:{port}", "through the proxy of ALL_PROXY (http://127.0.0.1:"),
        ("127.0.0.1:{port}", "does not connect (connection refused)"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    wire, value, words, monkeypatch, closed_port
):
    monkeypatch.setenv("ALL_PROXY", value.format(port=closed_port))
    with Server() as server:
        outcome = ask(wire, server, base_url=ELSEWHERE)
    assert isinstance(outcome.error, ModelUnusable)
    assert words in outcome.text
    assert "ALL_PROXY" in outcome.text
    assert "nset" in outcome.text
    assert "SECRET" not in outcome.text
    assert "Start it" not in outcome.text


def test_a_proxy_for_https_is_named_too(wire, monkeypatch, closed_port):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port}")
    with Server() as server:
        outcome = ask(wire, server, base_url="https://vlm.example.org/v1")
    assert f"through the proxy of HTTPS_PROXY (http://127.0.0.1:{closed_port})" in outcome.text


def test_a_proxy_that_refuses_to_connect_is_named(monkeypatch):
    with Server() as proxy, Server() as server:  # no proxy: it knows no CONNECT
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        outcome = ask(WIRES[0], server, base_url="https://vlm.example.org/v1")
    assert "through the proxy of HTTPS_PROXY" in outcome.text


@pytest.mark.parametrize(
    ("excluded", "host"),
    [
        ("*", "vlm.example.org"),
        ("example.org", "vlm.example.org"),
        (".example.org", "vlm.example.org"),
        ("other, vlm.example.org:80", "vlm.example.org"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_no_proxy_lists_hosts(excluded, host, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert proxy_for("http", host, 80) is not None
    monkeypatch.setenv("NO_PROXY", excluded)
    assert proxy_for("http", host, 80) is None
    assert proxy_for("http", "else.where", 80) is not None or excluded == "*"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_named_by_their_variable(wire, variable, monkeypatch):
    monkeypatch.setenv(variable, "/nowhere/roots.pem")
    with Server() as server:
        outcome = ask(wire, server, base_url="https://127.0.0.1:1/v1")
    assert isinstance(outcome.error, ModelUnusable)
    assert f"{variable}='/nowhere/roots.pem'" in outcome.text
    assert "Correct it, or unset it." in outcome.text


def test_a_file_that_holds_no_certificates_is_named(wire, monkeypatch, tmp_path):
    (tmp_path / "roots.pem").write_text("hello")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    with Server() as server:
        outcome = ask(wire, server, base_url="https://127.0.0.1:1/v1")
    assert "SSL_CERT_FILE" in outcome.text
    assert "cannot be read" in outcome.text


def test_a_server_without_certificates_is_told_from_one_that_is_not_there(wire):
    with socket.create_server(("127.0.0.1", 0)) as listening, Server() as server:

        def answer():
            for _ in range(2):
                connection, _ = listening.accept()
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        address = f"https://127.0.0.1:{listening.getsockname()[1]}/v1"
        outcome = ask(wire, server, base_url=address)
    assert isinstance(outcome.error, ModelUnusable)
    assert "does not speak HTTPS as it should" in outcome.text
