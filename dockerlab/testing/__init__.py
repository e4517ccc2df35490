"""Helpers for testing notebooks that use dockerlab: for our own tests, and for teachers.

- `sanitiser`: what differs from run to run, cut out of a notebook's outputs; `python -m dockerlab.testing` prints the path of the
  file that tells nbval (`--nbval-sanitize-with`)
- `notebooks`: runs a notebook, compares its outputs with what was saved, and says how many cells held
- `shell`: an IPython shell without a kernel, for trying a magic

nbval and pytest are wanted only when a notebook is checked: `pip install nbval`.
"""
