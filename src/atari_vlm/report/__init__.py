"""What is made of a finished run: the replay page in HTML, and GIFs.

May import everything below `trainer`; nothing in the package but `cli` imports it.
Start with `run_page.write_replay`, then `replay.py` and `page/page.js`.
"""
