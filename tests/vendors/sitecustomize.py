"""Read by every Python that a test starts with this folder in its path; see `tests.vendors`."""

import os
from dataclasses import replace

from atari_vlm.models.hosted.vendors import VENDORS

for variable, address in os.environ.items():
    if variable.startswith("TEST_ADDRESS_OF_"):
        provider = variable.removeprefix("TEST_ADDRESS_OF_").lower()
        VENDORS[provider] = replace(VENDORS[provider], address=address)
