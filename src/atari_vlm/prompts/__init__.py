"""Strategies: pure functions from an Observation, the history and the lessons to a Prompt.

May import `costs`, `atari`, `options`, `types` and `errors`. Start reading at strategies.py.
"""
