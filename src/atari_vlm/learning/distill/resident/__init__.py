"""The school that fills a GPU: rows stay on the device, several students are stepped as one.

school.py is the place to start; then players.py, which plays and labels in other processes.
"""
