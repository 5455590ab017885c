"""The command line `atari-vlm`, one file a group of commands, and `train_atari_vlm.py`.

May import every other package; nothing imports it. Heavy packages load inside the commands.
Start with app.py, then play.py; flags.py makes the flags from the option groups.
"""

import os
import signal
import sys

_MODULES = {"atari_vlm.cli.app", "train_atari_vlm"}


def end_silently_while_loading() -> None:
    """Let Ctrl-C end a command of ours without a traceback before it has begun.

    `runs.waiting.stoppable` hears it from then on. Programs that import the package keep their
    handler.
    """
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    name, _ = os.path.splitext(os.path.basename(program))
    ours = name in {"atari-vlm", "train_atari_vlm"}
    ours |= name == "-m" and bool(_MODULES & {*sys.orig_argv[:4]})
    if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
