"""Wrappers that think longer about a decision: votes, judges, and when it is worth it.

Imports the policies they ask, `types` and `protocols`; nobody below imports from here. Start
reading at `vote.py`; what all of them share is in `samples.py` and `effort.py`.
"""
