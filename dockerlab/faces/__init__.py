"""The faces of values: static HTML that needs no kernel, no JavaScript and no network, and text. Pure: no IPython, no engine.

A value that shows itself subclasses `Shown` (`dockerlab.faces.shown`) and gets its faces from the file here that is named after it:

- `text`: the text that is the same on every run and every engine, which is what a saved notebook holds
- `table`: the whole of it as text, for `str()` and terminal IPython
- `html`: the static HTML; what differs from run to run stands between volatile marks (`dockerlab.faces.markup.volatile`)
"""
