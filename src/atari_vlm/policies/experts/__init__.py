"""Scripted experts: players that read the emulator's memory, and the teachers of `distill`.

They import types and errors, nothing else of this package.
Start with base.py, then pong.py; table.py lists all experts.
"""
