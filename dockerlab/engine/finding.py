"""What `dockerlab engine check` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """what: the file, blob, image, layer or container. text: what is wrong with it. repaired: whether it is no more."""

    what: str
    text: str
    repaired: bool

    def __str__(self) -> str:
        return f"{self.what}: {self.text}{' (mended)' if self.repaired else ''}"
