"""The exercises of `notebooks/01-a-container-is-a-process.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
