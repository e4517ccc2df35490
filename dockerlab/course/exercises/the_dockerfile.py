"""The exercises of `notebooks/04-the-dockerfile.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
