"""Images and layers, content-addressed: an OCI image layout, and what may be done with it.

- `store`: the face of it: find, tag, remove, load, save, import, commit, check
- `values`: images and layers; `records`: which there are; `catalogue`: those that a name means
- `blobs`: bytes by digest; `documents`: manifests and configs; `layers`: tars on their way in
- `load`, `unpacking`, `save`: archives; `removal`: Docker's rules; `check`: whether it is whole
- `disk`, `lock`: the tools; tars and compressed streams are read by `wire`

Everything that comes from outside is verified here, once: what the store gives is what its digests say.
"""

from dockerlab.engine.store.documents import architecture
from dockerlab.engine.store.layers import Content
from dockerlab.engine.store.removal import Use
from dockerlab.engine.store.store import Hold, Notify, Store
from dockerlab.engine.store.values import Image, Layer

__all__ = ["Content", "Hold", "Image", "Layer", "Notify", "Store", "Use", "architecture"]
