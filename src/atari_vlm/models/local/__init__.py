"""Vision-language models that run in this process: any image-text-to-text checkpoint.

May import `models.embedded`, `atari` and the root modules; torch and transformers only inside
functions. Start with `model.py`, then `backend.py`.
"""
