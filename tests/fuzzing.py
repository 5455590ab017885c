"""How many examples hypothesis tries: few in the tests, FUZZ times as many by `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ", "1"))
"""Factor of the number of examples; above 1 they differ from run to run."""


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Decorates a test of hypothesis with its number of examples; stands above `given`."""
    chosen = settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )

    def decorate(test: Any) -> Any:
        return pytest.mark.fuzz(chosen(test))

    return decorate
