"""Distillation: training the embedded model on decisions that scripted experts label.

It imports policies.experts, models.embedded, runs and the rooms below them; torch only inside use.
Start with run.py, then collect.py and train.py.
"""
