"""The game catalogue, the emulator and the conversion of its screens to images.

May import `options`, `types` and `errors`. Start reading at emulator.py.
"""
