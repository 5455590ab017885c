"""Policies: a model's, without a model (baselines, experts, searches), and wrappers around them.

They may import prompts, models, replies, costs and what is below; never the environment or the
record of a run. Start reading at `vlm.py`; `registry.py` has the tables of names.
"""
