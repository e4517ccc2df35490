"""`python -m dockerlab.testing` prints the path of the sanitiser for nbval."""

from __future__ import annotations

from dockerlab.testing.sanitiser import PATH

print(PATH)
