"""Dockerfiles, read. Pure: text in, values out; no engine, no files.

- `parser`: text → instructions with their lines
- `heredoc`: the heredocs that an instruction opens
- `stage`: instructions → stages
- `instructions`: the instructions there are, and the nearest match to a misspelt one
- `excerpt`, `refusal`: the place of an error, with a caret
- `ignore`: `.dockerignore`

For who carries it out, and not imported here:

- `words`, `patterns`: text → words, variables replaced
- `arguments`, `durations`, `mounts`: how the text of an instruction is cut
- `commands`, `reading`, `expansion`: instructions as values; nodes → commands; their variables replaced
- `program`, `planning`: all of it in stages, and what of it a build needs
- `checks`: what can be said against it
- `frontends`: which frontend it asks for
- `graph`: its stages, and what they take from each other
"""

from dockerlab.dockerfile.excerpt import excerpt
from dockerlab.dockerfile.heredoc import Heredoc
from dockerlab.dockerfile.ignore import Ignore
from dockerlab.dockerfile.instructions import INSTRUCTIONS, nearest, suggestion
from dockerlab.dockerfile.parser import Dockerfile, Node, parse
from dockerlab.dockerfile.stage import Stage, stages

__all__ = [
    "INSTRUCTIONS",
    "Dockerfile",
    "Heredoc",
    "Ignore",
    "Node",
    "Stage",
    "excerpt",
    "nearest",
    "parse",
    "stages",
    "suggestion",
]
