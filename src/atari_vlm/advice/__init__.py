"""Advice before anything is spent: what a run will cost, and whether a model works.

It may import players and everything below; the trainer records an estimate with every run. Start
reading at `estimate.py`, or at `model_check.py`.
"""
