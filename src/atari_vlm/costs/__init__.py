"""Prices, image and text tokens, episode lengths, and the comparison of an estimate with the bill.

May import `atari`, `types` and `errors`. Start reading at prompt_tokens.py.
"""
