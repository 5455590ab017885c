"""Games x players in the same settings, with baselines beside every score.

It may import the trainer and everything below; only the command line imports it. Start reading at
`matrix.py`; `results.py` has the cells and the files they are written to.
"""
