"""Models, which answer prompts: hosted (over an API), local (transformers), embedded (ONNX).

Imports types, errors, files, atari, replies and costs; only `build` imports every kind of model.
Start with `build.build_model`, then `hosted/model.py`, `local/model.py` or `embedded/model.py`.
"""
