"""The exercises of `notebooks/07-limits-storage-and-network.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
