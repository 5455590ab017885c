"""Self-reflection: after an episode the model reviews it and writes lessons for the next ones.

Start at `learner`, which asks; `review` has the words and `moments` the screens of the question,
`reading` reads the answer and `merging` keeps the lessons few. `edits` lets a person change them.
"""
