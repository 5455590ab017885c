"""Files: written whole or not at all, and read with limits where others may have made them.

May import `errors`. Start reading at writing.py, then untrusted.py and databases.py; tensors.py
reads the headers of safetensors files.
"""
