"""Games x players in the same settings, with baselines beside every score.

It may import the trainer, report and everything below; only the command line imports it. Start
reading at `matrix.py`; `cells.py` has the cells, `results.py` the files they are written to, and
`page.py` the page of a folder.
"""
