"""Search on saved emulator states: rollout IW and UCT, as policies without a model.

It may import what policies may. Start reading at `policy.py` (one decision), then `tree.py` (the
budget and the emulator) and `methods.py` (how a tree is grown and rated).
"""
