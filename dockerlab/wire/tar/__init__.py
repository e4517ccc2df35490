"""Tar archives, read safely and written deterministically. Pure: streams in, streams out; nothing here touches a path.

    for entry, data in entries(stream):      # PAX, GNU and ustar; sparse files; never trusts a byte
        ...
    for fields, start, stored in listing(Window(file, start, size)):   # headers alone, of a tar in a file
        ...
    for fields, content in passing(Flow(chunks)):   # as they come by, with fingerprints
        ...
    writer = Writer(out); writer.add(entry, data); writer.close()

Written anew because archives come from strangers: `tarfile` reads a header of any claimed length into memory, and knows neither
xattrs nor whiteouts. What an entry's path promises: relative, without "..", "." and empty components; "" is the root itself. A link's
target promises that too. A *symlink's* target is any text at all: whoever unpacks never follows it out of the root.
"""

from dockerlab.wire.tar.data import Data, Prefixed
from dockerlab.wire.tar.entry import OPAQUE, WHITEOUT, Entry, Kind, Readable, Writable, clean
from dockerlab.wire.tar.fingerprint import EMPTY, Fingerprint, fingerprint
from dockerlab.wire.tar.headers import Fields
from dockerlab.wire.tar.listing import listing
from dockerlab.wire.tar.passing import Flow, passing
from dockerlab.wire.tar.reader import entries
from dockerlab.wire.tar.window import Window
from dockerlab.wire.tar.writer import Writer, archive

__all__ = [
    "EMPTY",
    "OPAQUE",
    "WHITEOUT",
    "Data",
    "Entry",
    "Fields",
    "Fingerprint",
    "Flow",
    "Kind",
    "Prefixed",
    "Readable",
    "Window",
    "Writable",
    "Writer",
    "archive",
    "clean",
    "entries",
    "fingerprint",
    "listing",
    "passing",
]
