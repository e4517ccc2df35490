"""Dockerfiles, read. Pure: text in, values out; no engine, no files.

- `parser`: text → instructions with their lines
- `heredoc`: the heredocs that an instruction opens
- `stage`: instructions → stages
- `instructions`: the instructions there are, and the nearest match to a misspelt one
- `excerpt`: the place of an error, with a caret
- `ignore`: `.dockerignore`
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
