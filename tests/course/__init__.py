"""What the tests know of the course: the article's points, the notebooks' cells, and the solution of each exercise.

`solutions/NAME.txt` is what a learner writes into the cell that is tagged `exercise-NAME`. A line `# %%` in it begins another cell.
"""
