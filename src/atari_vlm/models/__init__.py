"""Models, which answer prompts: hosted (behind an API), local (transformers), embedded (ONNX).

May import replies, costs, atari, files, types and errors; only `build` imports every kind of model.
Start with `build.build_model`, then `hosted/model.py`, `local/model.py` or `embedded/model.py`.
"""
