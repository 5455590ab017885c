"""The names of actions in a reply: UPRIGHTFIRE, up-right, NO OP."""

from __future__ import annotations

ATOMS = ("NOOP", "FIRE", "UP", "DOWN", "LEFT", "RIGHT")
"""What the names are made of."""
_ATOM = r"(?:NO[ _-]?OP|FIRE|UP|DOWN|LEFT|RIGHT)"
CHORD = rf"{_ATOM}(?:(?:[ ]?[-_+][ ]?|[ ])?{_ATOM}){{0,5}}"
"""Pattern of an action name, with its parts joined or apart."""
