"""A power cut at any moment: what was written and never synced is dropped, and the run is opened.

    python -m tests.power_cuts --calls 30 --cuts 300

A program plays a run with a paid server under `strace`, which logs every write, sync, rename and
removal in its folder, and every request it sends. For a cut after any of these the folder is made
as a disk may then hold it: the synced content of each file, and of what was written since nothing,
everything, or any 512 bytes of it in any order; the synced names of each folder, and the first few
changes of names since. Each request that was sent shows that the answer before it was used, so it
must be found again.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from atari_vlm.runs.run import Run
from tests.servers import Server
from tests.vendor_apis import Answer

SECTOR = 512
"""Bytes that a disk writes whole."""

CALLS = "openat,creat,write,pwrite64,writev,pwritev,ftruncate,fallocate,fsync,fdatasync,rename,"
CALLS += "renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,close,sendto,link,linkat"

_LINE = re.compile(r"^(?P<pid>\d+)\s+(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+)")
_FILE = re.compile(r"^\d+<([^>]*)>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Event:
    """One call of the system."""

    kind: str
    """"write", "truncate", "sync", "rename", "remove", "make", "folder" or "request"."""
    path: str = ""
    data: bytes = b""
    place: int = 0
    target: str = ""


@dataclass
class Content:
    """What one file holds, and what of it a disk may hold."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    since: list[tuple[int, bytes]] = field(default_factory=list)
    """Writes since the last sync; a place below 0 is a new length."""


class Disk:
    """Files and folders, as the program sees them and as they may be after a power cut."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: dict[str, Content | None] = {}
        """Path -> file, or None for a folder."""
        self.synced: dict[str, Content | None] = {}
        self.changes: list[tuple[str, str, Content | None]] = []
        """Changes of names since their folder was synced: (kind, path, what)."""
        self.lengths: dict[str, int] = {}

    def happen(self, event: Event) -> None:
        """Do what the program did."""
        path = event.path
        if event.kind == "make" and path not in self.names:
            self._name(path, Content())
        elif event.kind == "folder":
            self._name(path, None)
        elif event.kind == "rename":
            self._name(event.target, self.names[path])
            self._unname(path)
        elif event.kind == "remove" and path in self.names:
            self._unname(path)
        elif event.kind == "sync":
            self._sync(path)
        elif event.kind in ("write", "truncate"):
            self._write(event)

    def _name(self, path: str, what: Content | None) -> None:
        self.names[path] = what
        self.changes.append(("name", path, what))

    def _unname(self, path: str) -> None:
        self.changes.append(("unname", path, self.names.pop(path)))

    def _write(self, event: Event) -> None:
        content = self.names[event.path]
        assert content is not None
        if event.kind == "truncate":
            resize(content.now, event.place)
            content.since.append((-1 - event.place, b""))
            return
        put(content.now, event.place, event.data)
        content.since.append((event.place, event.data))

    def _sync(self, path: str) -> None:
        content = self.names.get(path)
        if content is not None:
            content.synced, content.since = bytes(content.now), []
            return
        kept = []
        for change in self.changes:
            if os.path.dirname(change[1]) == path:
                self._apply(self.synced, change)
            else:
                kept.append(change)
        self.changes = kept

    @staticmethod
    def _apply(names: dict[str, Content | None], change: tuple[str, str, Content | None]) -> None:
        kind, path, what = change
        if kind == "name":
            names[path] = what
        else:
            names.pop(path, None)

    def after_cut(self, place: Path, rng: random.Random) -> None:
        """Write what a disk may hold after a power cut."""
        names = dict(self.synced)
        for change in self.changes[: rng.choice([0, len(self.changes), rng.randint(0, 99)])]:
            self._apply(names, change)
        how = rng.choice(["nothing", "everything", "some"])
        for path in sorted(names):
            content = names[path]
            target = place / os.path.relpath(path, self.root)
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
            elif target.parent.exists():
                target.write_bytes(left_of(content, how, rng))


def left_of(content: Content, how: str, rng: random.Random) -> bytes:
    """The bytes of a file after a power cut."""
    if how == "everything":
        return bytes(content.now)
    left = bytearray(content.synced)
    for place, data in content.since if how == "some" else []:
        if place < 0:
            if rng.random() < 0.5:
                resize(left, -1 - place)
            continue
        for start in range(0, len(data), SECTOR):
            if rng.random() < 0.5:
                put(left, place + start, data[start : start + SECTOR])
    return bytes(left)


def put(content: bytearray, place: int, data: bytes) -> None:
    if len(content) < place:
        content.extend(bytes(place - len(content)))
    content[place : place + len(data)] = data


def resize(content: bytearray, length: int) -> None:
    if len(content) > length:
        del content[length:]
    else:
        content.extend(bytes(length - len(content)))


# --- the log of strace ---------------------------------------------------------------------------


def events(log: Path, root: str, port: str) -> Iterator[Event]:
    """What happened below a folder, and the requests that were sent to a port."""
    places: dict[str, int] = {}
    for line in joined(log):
        found = _LINE.match(line)
        if found is None or int(found["result"]) < 0:
            continue
        name, arguments, result = found["name"], found["arguments"], int(found["result"])
        if name in ("sendto", "write") and f":{port}]" in arguments:
            if unescaped(arguments).startswith(b"POST"):
                yield Event("request")
        elif paths := below(name, arguments, root):
            yield from of_call(name, arguments, result, paths, places)


def of_call(
    name: str, arguments: str, result: int, paths: list[str], places: dict[str, int]
) -> Iterator[Event]:
    """What one call did; `places` has where the next `write` to a file goes."""
    path, last = paths[0], arguments.rpartition(", ")[2]
    if name == "openat":
        places[path] = 0
        if "O_CREAT" in arguments:
            yield Event("make", path)
        if "O_TRUNC" in arguments:
            yield Event("truncate", path)
    elif name in ("write", "pwrite64"):
        place = int(last) if name == "pwrite64" else places[path]
        yield Event("write", path, unescaped(arguments)[:result], place)
        places[path] = place + result
    elif name == "ftruncate":
        yield Event("truncate", path, place=int(last))
    elif name in _KINDS:
        yield Event(_KINDS[name], path, target=paths[-1])
    elif name != "close":
        raise AssertionError(f"This test does not know {name}({arguments[:200]}).")


_KINDS = {"fsync": "sync", "fdatasync": "sync", "unlink": "remove", "unlinkat": "remove"}
_KINDS |= {"rename": "rename", "renameat": "rename", "renameat2": "rename"}
_KINDS |= {"mkdir": "folder", "mkdirat": "folder"}


def joined(log: Path) -> Iterator[str]:
    """The lines; those of a call that another thread interrupted are put together."""
    begun: dict[str, str] = {}
    for line in log.read_text(encoding="latin-1").splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith(" <unfinished ...>"):
            begun[pid] = line.removesuffix(" <unfinished ...>")
        elif "resumed>" in line and pid in begun:
            yield begun.pop(pid) + line.partition("resumed>")[2]
        else:
            yield line


def below(name: str, arguments: str, root: str) -> list[str]:
    """The paths of a call that are below the folder; it itself too."""
    if name in ("openat", "creat", "unlink", "unlinkat", "mkdir", "mkdirat") or "rename" in name:
        paths = [unescaped_text(part) for part in _TEXT.findall(arguments)]
    else:
        found = _FILE.match(arguments)
        paths = [unescaped_text(found[1]).removesuffix(" (deleted)")] if found else []
    return [path for path in paths if path == root or path.startswith(f"{root}/")]


def unescaped(arguments: str) -> bytes:
    """The bytes that a call was given."""
    found = _TEXT.search(arguments)
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def unescaped_text(part: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), part)


# --- the trial -----------------------------------------------------------------------------------

PROGRAM = """
import sys
from atari_vlm.trainer import VLMTrainer
VLMTrainer(
    "breakout", "gpt-4o", run_folder=sys.argv[1], max_decisions=int(sys.argv[2]), progress=False,
    prompt_type="basic", use_in_context_learning=False,
).train(1)
"""


@dataclass
class Outcome:
    """What came of a trial."""

    cuts: int = 0
    empty: int = 0
    """Cuts after which there is no run, before any answer came."""
    lost: int = 0
    """Cuts after which a paid answer is missing or the run cannot be opened."""
    answers: int = 0
    syncs_at_creation: int = 0
    syncs: int = 0


def trial(place: Path, calls: int, cuts: int, rng: random.Random) -> Outcome:
    """Play a run, and cut the power at random moments.

    Args:
        place: an empty folder.
        calls: answers of the run.
        cuts: moments; each is tried once.
        rng: chooses them, and what of the unsynced bytes is on the disk.
    """
    root, log = (place / "played").resolve(), place / "log"
    root.mkdir()
    with Server(Answer(text="ACTION: LEFT", tokens=(1000, 0, 50)), record=False) as server:
        port = server.url.rpartition(":")[2]
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_API_KEY": "planted",
        }
        strace = [
            "strace",
            "-f",
            "-yy",
            "-xx",
            "-s",
            "100000",
            "-e",
            f"trace={CALLS}",
            "-o",
            str(log),
        ]
        program = [sys.executable, "-c", PROGRAM, str(root / "a" / "r"), str(calls)]
        subprocess.run([*strace, *program], env=environment, check=True)
    happened = list(events(log, str(root), port))
    first = next(k for k, event in enumerate(happened) if event.kind == "request")
    outcome = Outcome(answers=sum(event.kind == "request" for event in happened))
    outcome.syncs = sum(event.kind == "sync" for event in happened)
    outcome.syncs_at_creation = sum(event.kind == "sync" for event in happened[:first])
    moments = sorted(rng.choices(range(len(happened) + 1), k=cuts))
    disk, sent, done = Disk(str(root)), 0, 0
    disk.synced[str(root)] = disk.names[str(root)] = None
    for number, moment in enumerate(moments):
        for event in happened[done:moment]:
            sent += event.kind == "request"
            disk.happen(event)
        done = moment
        cut = place / f"cut{number}"
        cut.mkdir()
        disk.after_cut(cut, rng)
        outcome.cuts += 1
        found = answers_in(cut / "a" / "r")
        outcome.empty += found is None
        outcome.lost += (found or 0) < sent - 1
    return outcome


def answers_in(folder: Path) -> int | None:
    """How many answers a run has; None if there is no run.

    Raises:
        StoreError: there is one that cannot be opened.
    """
    if not Run.exists(folder):
        return None
    run = Run.read(folder)
    try:
        return run.usage().calls
    finally:
        run.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        outcome = trial(Path(place), asked.calls, asked.cuts, random.Random(asked.seed))
    print(f"{outcome.cuts} power cuts in a run of {outcome.answers} paid answers")
    print(f"  syncs: {outcome.syncs_at_creation} until the first request, {outcome.syncs} in all")
    print(f"  cuts before there was a run: {outcome.empty}")
    print(f"  cuts that lost a paid answer: {outcome.lost}")
    return 1 if outcome.lost else 0


if __name__ == "__main__":
    sys.exit(main())
