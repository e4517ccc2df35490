"""The exercises of `notebooks/03-images-are-files-in-layers.ipynb`."""

from __future__ import annotations

from dockerlab.course.model import Exercise

EXERCISES: tuple[Exercise, ...] = ()
