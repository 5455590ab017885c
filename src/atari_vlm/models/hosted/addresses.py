"""Addresses of servers and names of models, which are recorded, and so must hold no secret."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.models.hosted.redaction import all_secrets

_PREFIXED = re.compile(
    r"(sk[-_]\S{12,}"
    r"|(pk|rk|gsk|hf|xai|gh[opsu]|github_pat|glpat|nvapi|r8|pplx|fw|csk|sess|api|key|token|secret)"
    r"[-_][A-Za-z0-9]{18,}"
    r"|AIza\S{16,}|eyJ\S{12,}|(AKIA|ASIA)[A-Z0-9]{12,}|xox[a-z]-\S{8,})"
)
"""How the keys of vendors begin."""

_RANDOM = re.compile(
    r"(?<![A-Za-z])sk[-_]"
    r"|(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{20,}"
    r"|[A-Za-z0-9]{32,}"
    r"|(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9_-]{32,}"
)
"""Letters and digits that are no words."""

_WORDS = re.compile(r"(\w{1,10}://)?[\w.-]{0,60}(:\d{0,5})?(/[\w./-]{0,60})?")
"""An address that can be repeated."""

_NAMES_OF_KEYS = re.compile(r"(api[-_]?)?keys?|tokens?|secrets?|passwords?|auth|bearer", re.I)
_PUBLIC_IDS = ("gateway.ai.cloudflare.com",)
"""Hosts whose paths name an account by an identifier that looks random and is no secret."""


def check_address(base_url: str | None) -> None:
    """Raise InvalidSetting unless it is the address of a server, without a secret.

    The message repeats no secret.
    """
    check_no_secret(base_url)
    try:
        address = urlsplit(base_url or "")
        usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:  # the port is not a number
        usable = False
    if not usable:
        plain = _WORDS.fullmatch(base_url or "")  # anything else may be a password
        shown = repr(base_url) if plain else setting("base_url")
        raise InvalidSetting(f"{shown} is not the address of a server. {_example()}")


def _example() -> str:
    return f"Example: {setting('base_url', 'http://localhost:8000/v1')}."


def check_no_secret(base_url: str | None) -> None:
    """Raise InvalidSetting, without repeating it, if an address holds what may be a secret."""
    if (fault := _fault(base_url or "")) == _SPACE:
        raise InvalidSetting(f"{fault} {setting('base_url')}; give it without. {_example()}")
    if fault:
        raise InvalidSetting(
            f"Keep {fault} out of {setting('base_url')}, which is stored with the run; pass the "
            f"key as {setting('api_key')}. {_example()}"
        )


def check_name(name: str) -> None:
    """Raise InvalidSetting, without repeating it, if a model's name holds a key or an address."""
    plain = _plain(name)
    parts = re.split(r"[\s/:@?#=&,+]+", plain)
    if any(map(_PREFIXED.match, parts)) or all_secrets().blot(plain) != plain:
        raise InvalidSetting(
            f"The name of the model looks like a key. Names are stored with the run: pass the key "
            f"as {setting('api_key')}, or set the vendor's environment variable."
        )
    if re.search(r"\w://", plain):
        raise InvalidSetting(
            f"The name of the model is an address. Pass that as {setting('base_url')}, and the "
            f"name that the server gives to the model."
        )


def without_secrets(url: str | None) -> str | None:
    """An address without user, password, query and path, if these may be secret; "" if unusable."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    shown = f"{parts.scheme}://{host}{port}{parts.path}"
    return f"{parts.scheme}://{host}{port}" if _fault(shown) else shown


_SPACE = "There is a space, a backslash or a control character in"


def _fault(base_url: str) -> str:
    """What must not be in an address; empty if nothing of the kind is."""
    plain = _plain(base_url)
    before, _, rest = plain.partition("://")
    host, _, path = (rest or before).partition("/")
    if "@" in plain:
        return "name and password"
    if re.search("[?#;&=]", plain):
        return "queries and fragments (from the first ?, #, ; or & on), which may be a key,"
    if re.search(r"[\s\\\x00-\x1f\x7f]", plain):
        return _SPACE
    segments = path.split("/")
    named = any(
        _NAMES_OF_KEYS.fullmatch(one) and next_ and not re.fullmatch(r"v\d\w*|openai", next_)
        for one, next_ in zip(segments, [*segments[1:], ""], strict=True)
    )
    looks = any(map(_PREFIXED.match, [*segments, *host.split(".")]))
    chance = host not in _PUBLIC_IDS and any(map(_RANDOM.search, segments))
    if named or looks or chance or all_secrets().blot(plain) != plain:
        return "keys (a part of the path looks like one)"
    return ""


def _plain(text: str) -> str:
    """Percent-encoded and full-width characters as ASCII."""
    for _ in range(5):
        text = unquote(unicodedata.normalize("NFKC", text))
    return text
