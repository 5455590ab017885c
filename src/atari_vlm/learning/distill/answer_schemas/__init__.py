"""Answer schemas: for every game, the sentences and plans of an answer to the embedded prompt.

They import types and policies.experts.
Start with base.py, then pong.py; table.py lists all games.
"""
