"""The school that fills a GPU: rows stay on the device, several students are stepped as one.

school.py is the place to start. players.py plays and labels in other processes; stepper.py trains,
with the weights and the loss of students.py, on the rows of store.py.
"""
