"""The exercises of `notebooks/12-write-your-own-dockerfile.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
