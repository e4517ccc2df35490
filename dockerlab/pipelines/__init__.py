"""`dockerlab.pipeline()`: one picture that joins Dockerfile line ↔ build step ↔ layer ↔ image ↔ its containers.

- `model`: the picture as values; `changes`: what an instruction changes of the configuration
- `recorded`: a build's record → its rows, at any moment
- `joining`: rows ↔ the image's history ↔ its layers, as far as that is certain
- `asking`: what an engine is asked for it
"""

from __future__ import annotations

from dockerlab.pipelines.asking import pipeline
from dockerlab.pipelines.model import Pipeline

__all__ = ["Pipeline", "pipeline"]
