"""The exercises of `notebooks/11-deploying.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
