"""Models behind an API: OpenAI, Anthropic, Google, and OpenAI-compatible servers.

Imports types, errors, costs, atari.images and models.journal; SDKs load with the first model built.
Start with `model.HostedModel`, which lists its layers; `client` sends a single request.
"""
