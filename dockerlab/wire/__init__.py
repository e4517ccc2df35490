"""Messages and formats that both sides of the Engine API speak. Pure: bytes and values, no I/O.

- `trace`: what a build reports while it runs: vertexes, statuses and logs.
- `multiplex`: a container's output, in frames of two streams.
- `tar`, `streams`: archives, and streams that may be compressed.
"""
