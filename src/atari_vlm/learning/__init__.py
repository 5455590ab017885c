"""Learners make lessons of trajectories; `distill` trains the embedded model.

It may import runs and everything below; players and the trainer import it. Start reading at
`examples.py` (in-context learning), for training at `distill/run.py`.
"""
