"""The embedded model: a small vision-language model that ships with the package and needs no torch.

It imports types, errors and atari.images. Start with model.py, then read runtime.py.
"""
