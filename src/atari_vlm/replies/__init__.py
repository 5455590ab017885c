"""Parsers from a model's reply to legal plans.

May import `atari`, `types` and `errors`. Start reading at plan_parser.py.
"""
