"""The command line `atari-vlm`, one file a group of commands, and `train_atari_vlm.py`.

May import every other package; nothing imports it. Heavy packages load inside the commands.
Start with app.py, then play.py; flags.py makes the flags from the option groups.
"""
