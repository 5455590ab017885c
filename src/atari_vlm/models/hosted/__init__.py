"""Models behind an API: OpenAI, Anthropic, Google, and OpenAI-compatible servers.

May import models.journal and what models may import; vendors' SDKs load when a model is built.
Start with `model.HostedModel`, which lists its layers; `client` sends a single request.
"""
