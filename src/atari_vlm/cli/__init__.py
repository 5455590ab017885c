"""The command line: one file a group of commands; each parses, makes one call and prints.

It may import everything; nothing imports it but the two entry points. Start reading at `app.py`;
`flags.py` makes flags of the option groups.
"""
