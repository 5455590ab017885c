"""Answers before a run: what it will cost (estimate), and whether a model works (model_check).

May import `players` and everything below it; `trainer` and `cli` import this package.
Start with `estimate.estimate_run` or `model_check.check_model`.
"""
