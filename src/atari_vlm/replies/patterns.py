"""Regular expressions that are compiled when they are first needed.

Those of `replies` take half a second to compile, and most commands read no reply.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Pattern:
    """A pattern whose methods are those of the compiled one, from their first use on.

    Args:
        text: as for `re.compile`.
        flags: as for `re.compile`.
    """

    def __init__(self, text: str, flags: int) -> None:
        self.pattern, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle ask for what is not there
            raise AttributeError(name)
        compiled = re.compile(self.pattern, self._flags)
        for method in ("search", "match", "fullmatch", "finditer", "findall", "split", "sub"):
            setattr(self, method, getattr(compiled, method))
        return getattr(compiled, name)


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """A pattern as of `re.compile`, compiled when it is first used.

    >>> pattern("a+").search("caab")[0]
    'aa'
    """
    return cast("re.Pattern[str]", _Pattern(text, flags))
