"""The embedded engine: serves the Docker Engine API on a unix socket, from pure Python, without a daemon and without root.

Linux only. One process a user; whatever speaks the Docker Engine API is its client. Nothing outside this room imports it: the client
side starts it as a process (`python -m dockerlab.engine start`) and speaks HTTP to it.

- `home`: where it keeps what
- `http/`, `api/`: requests to responses; `process`: the socket, start and stop
- `core`: the engine itself, and what it is made of:
  `store/` images and layers, `rootfs/` a container's files on top of them, `containers/` their life, `volumes`, `networks`, `events`
- `runtime/`: processes: launcher → a monitor for each container → the container
"""
