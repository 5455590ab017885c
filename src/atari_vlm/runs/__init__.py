"""The record of a run: the folder's schema, writing and reading it, playing its episodes.

It may import `rollout`, policies, models, prompts and what is below them; learners and players come
from above as values. Start reading at `run.py` (the folder), then `runner.py` (many episodes).
"""
