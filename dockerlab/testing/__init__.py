"""Testing notebooks that use dockerlab: for our own tests, and for teachers.

    pytest --nbval --dockerlab notebooks/

- `plugin`, `session`: that command: an engine for the run, nbval's settings, `cleaning` afterwards
- `runs`, `aftermath`: on an engine that others use: what each run has made goes with it, also where it is killed
- `notebooks`: the same from Python: runs a notebook, and says how many cells gave what was saved
- `sanitiser`: what differs from run to run, cut out of outputs; `python -m dockerlab.testing` prints the path of its rules, for
  nbval without the plugin (`--nbval-sanitize-with`)
- `shell`: an IPython shell without a kernel, for trying a magic

nbval and pytest are wanted only when a notebook is checked: `pip install nbval`.
"""
