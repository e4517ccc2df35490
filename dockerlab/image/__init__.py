"""What an image is. Pure: values in, values out; no engine.

- `layers`: a history and the image's diff_ids → its layers, each with the instruction that made it
- `graph`: the layers of several images as one graph, not imported here
- `archive`: what `docker save` writes → its images, and the contents of their layers (`files`, `layer_reading`)
- `stacking`, `changes`, `tree`: contents → the files of an image up to a layer, what it changed; `waste`; `comparison` of two images
- `kubernetes`: a configuration → a Deployment and a Service
- `clean`: what a history says of a step → the instruction, as a Dockerfile has it
"""

from dockerlab.image.instruction import clean
from dockerlab.image.layer import Layer, chain_ids, layers

__all__ = ["Layer", "chain_ids", "clean", "layers"]
