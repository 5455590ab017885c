"""What is made of a finished run: the replay page in HTML, the learning curve, and GIFs.

May import `advice` and everything below it; the trainer writes the files of a curve with it.
Start with `run_page.write_replay`, then `replay.py` and `page/page.js`.
"""
