"""Fixtures of the tests of hosted models."""

from __future__ import annotations

import pytest

from tests.hosted import APIS, VendorApi


@pytest.fixture(params=APIS, ids=lambda api: api.provider)
def api(request) -> VendorApi:
    needed = {"anthropic": "anthropic", "google": "google.genai"}.get(request.param.provider)
    if needed:
        pytest.importorskip(needed, reason="an optional extra")
    return request.param
