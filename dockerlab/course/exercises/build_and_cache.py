"""The exercises of `notebooks/05-build-and-cache.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
