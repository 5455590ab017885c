"""Sends single requests to a hosted model.

The client does not retry, limit, pay for or cache requests; `model` adds these layers.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from atari_vlm.errors import setting
from atari_vlm.models.hosted.addresses import without_secrets
from atari_vlm.models.hosted.environment import ALONG, IGNORED, hidden, is_same, moved_to, set_among
from atari_vlm.models.hosted.faults import ErrorContext, Failure, classify_error
from atari_vlm.models.hosted.redaction import all_secrets, hide_in_logs
from atari_vlm.models.hosted.request import Request, build_request, sent_fields
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.vendors import Endpoint
from atari_vlm.models.hosted.video import check_encoder
from atari_vlm.types import Prompt

if TYPE_CHECKING:
    from httpx2 import AsyncClient
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model as Backend


class Client:
    """The connection to one hosted model, opened by the first request.

    Args:
        settings: of the model.
        api_key: None takes it from the vendor's environment variable.

    Raises:
        MissingExtra: the vendor's client, or the encoder of videos, is not installed.
        ModelUnusable: the vendor needs a key and there is none.
    """

    def __init__(self, settings: HostedSettings, api_key: str | None) -> None:
        self._settings = settings
        self._vendor = settings.vendor
        self._key = self._vendor.key(settings.name, api_key)
        self.secrets = all_secrets(self._key)
        self._context = ErrorContext(
            vendor=self._vendor.label,
            model_id=settings.model_id,
            base_url=settings.base_url,
            address_from=_address_from(settings),
            compatible=settings.provider == "openai-compatible",
            key_advice=self._vendor.key_advice,
            advice=settings.advice,
            secrets=self.secrets,
        )
        self._vendor.check_installed(settings.name)
        if settings.video:
            check_encoder(settings.name)
        self._connection: _Connection | None = None
        if note := where_note(settings):
            warnings.warn(note, stacklevel=4)

    @property
    def key(self) -> str:
        """The API key, which identifies the vendor's account."""
        return self._key

    async def build_request(self, prompt: Prompt, seed: int) -> Request:
        """Convert a prompt to a request; see `request.build_request`.

        Videos are encoded in another thread, because 30 screens take about 20 ms.
        """
        build = partial(build_request, self._settings, self._vendor, prompt, seed=seed)
        return await asyncio.to_thread(build) if self._settings.video else build()

    async def send(self, request: Request) -> ModelResponse | Failure:
        """Send a request once and return the response, or why there is none."""
        from pydantic_ai.direct import model_request

        try:
            response = await model_request(
                self._connected(),
                request.messages,
                model_settings=request.settings,
                model_request_parameters=request.parameters,
            )
        except Warning:  # as an error, by the user's choice
            raise
        except Exception as error:  # the clients raise anything for an answer of another form
            return self._classified(error)
        if not response.parts and response.finish_reason is None:
            return self._classified(ValueError("the answer was empty"))
        return response

    def _classified(self, error: Exception) -> Failure:
        failure = classify_error(error, self._context)
        failure.error.args = (self.secrets.blot(failure.error.message), *failure.error.args[1:])
        return failure

    def _connected(self) -> Backend:
        """The backend of the running event loop; connections cannot move between loops."""
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            from pydantic_ai.models import create_async_httpx2_client

            from atari_vlm.models.hosted.transport import BoundedTransport

            transport = BoundedTransport(
                sent_fields(self._settings), self._settings.name, self._settings.timeout_s
            )
            http = create_async_httpx2_client(transport=transport)
            endpoint = Endpoint(
                model_id=self._settings.model_id,
                base_url=self._settings.base_url or self._vendor.address or None,
                key=self._key,
                http=http,
                reasons=self._settings.effort is not None,
            )
            with hidden(self._settings.provider):
                backend = self._vendor.connect(endpoint)
            self._connection = _Connection(loop, http, backend)
            hide_in_logs(self.secrets)
        return self._connection.backend

    async def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.loop is asyncio.get_running_loop():
            await connection.http.aclose()


@dataclass(frozen=True, slots=True)
class _Connection:
    """Open connections and the event loop they belong to."""

    loop: asyncio.AbstractEventLoop
    http: AsyncClient
    backend: Backend


def _address_from(settings: HostedSettings) -> str:
    """What names the address of a model: the setting, or the variable that moves its vendor."""
    vendor = settings.vendor
    moved = moved_to(vendor.address_variable, vendor.address)
    if moved is not None and is_same(settings.base_url or "", moved):
        return vendor.address_variable
    return setting("base_url")


def where_note(settings: HostedSettings) -> str:
    """Where the environment sends the key of a vendor, in a sentence; "" if nowhere else."""
    vendor = settings.vendor
    moved = moved_to(vendor.address_variable, vendor.address)
    if moved is None or not is_same(settings.base_url or "", moved):
        ignored = set_among(IGNORED.get(settings.provider, ()))
        if ignored and not settings.is_elsewhere:
            return (
                f"{' and '.join(ignored)} is not followed: {settings.name} is asked at "
                f"{vendor.address}. {vendor.address_variable} would be."
            )
        return ""
    along = "".join(f", and {name}" for name in set_among(ALONG.get(settings.provider, ())))
    price = "" if settings.price is not None else " Its price is not known."
    return (
        f"{vendor.address_variable} is set: {settings.name} is asked at {without_secrets(moved)}, "
        f"which gets the key of {vendor.label}{along}.{price}"
    )
