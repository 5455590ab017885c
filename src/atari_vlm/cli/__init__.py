"""The command line `atari-vlm`, one file a group of commands, and `train_atari_vlm.py`.

May import every other package; nothing imports it. Heavy packages load inside the commands.
Start with app.py, then play.py; flags.py makes the flags from the option groups.
"""

import sys
from pathlib import Path
from types import TracebackType

_OURS = {"atari-vlm", "atari_vlm.cli.app", "train_atari_vlm.py"}


def _stopped_while_loading(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print no traceback if Ctrl-C comes before the command has begun."""
    if issubclass(kind, KeyboardInterrupt):
        print("Stopped. Nothing was begun.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.excepthook is sys.__excepthook__ and _OURS & {Path(a).name for a in sys.orig_argv[:4]}:
    sys.excepthook = _stopped_while_loading
