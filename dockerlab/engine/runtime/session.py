"""One process of a container in its monitor: its standard streams, and the clients that are attached to them.

Without a terminal a client gets Docker's frames (`dockerlab.wire.multiplex`), with one the bytes as they are; what it sends is standard
input. A client that reads slowly slows the process down, once a megabyte waits for it, instead of filling memory; one that is gone is
forgotten. Nothing here blocks.
"""

from __future__ import annotations

import fcntl
import functools
import os
import select
import selectors
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

_CHUNK = 65536
_WAITING = 1 << 20  # bytes that may wait for one client before the process has to
_INPUT_WAITING = 1 << 16


class Client:
    """A connection that is attached. streams: of 1 and 2 those that it gets."""

    def __init__(self, connection: socket.socket, streams: frozenset[int], gives_input: bool) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.streams = streams
        self.gives_input = gives_input
        self.waiting = bytearray()
        self.closing = False


class Session:
    """on_output: called with (stream, bytes) for the log. on_quiet: called once the last of the output has been read."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        *,
        tty: bool,
        keeps_input: bool,
        on_output: Callable[[int, bytes], None],
        on_quiet: Callable[[], None],
    ) -> None:
        self._selector = selector
        self.tty = tty
        self._keeps_input = keeps_input  # input stays open when a client ends its own
        self._on_output, self._on_quiet = on_output, on_quiet
        self._outputs: dict[int, int] = {}
        self._paused: set[int] = set()
        self._held = True
        self._input: int | None = None
        self._input_waiting = bytearray()
        self._input_ending = False
        self._clients: list[Client] = []
        self.pid = 0
        self.exit_code: int | None = None

    def open_pipes(self, stdin: bool) -> tuple[int, int, int]:
        """Makes the pipes of a process without a terminal; gives its ends, which the caller closes once it has forked."""
        if stdin:
            child_in, self._input = os.pipe()
            os.set_blocking(self._input, False)
        else:
            child_in = os.open(os.devnull, os.O_RDONLY)
        ends = [child_in]
        for stream in (1, 2):
            read, write = os.pipe()
            self._add_output(read, stream)
            ends.append(write)
        # What came before there was a process.
        self._flush_input()
        return ends[0], ends[1], ends[2]

    def open_terminal(self, master: int) -> None:
        """Takes the master of the process's terminal; it is input and output in one."""
        self._input = os.dup(master)
        os.set_blocking(self._input, False)
        self._add_output(master, 1)
        self._flush_input()

    def release(self) -> None:
        """Begins to read the output: whoever must not miss any of it is attached."""
        self._held = False
        self._resume()

    def attach(self, client: Client) -> None:
        """Adds a client; it gets what comes from now on."""
        self._clients.append(client)
        self._selector.register(client.connection, selectors.EVENT_READ, lambda mask: self._serve(client, mask))
        if self.is_over:
            self.finish()

    @property
    def is_quiet(self) -> bool:
        """Whether all output has been read."""
        return not self._outputs

    @property
    def is_over(self) -> bool:
        """Whether the process has ended and all its output has been read."""
        return self.exit_code is not None and self.is_quiet

    @property
    def has_clients(self) -> bool:
        """Whether somebody still waits for bytes."""
        return bool(self._clients)

    def resize(self, rows: int, columns: int) -> None:
        """The size of the terminal."""
        if self.tty and self._input is not None:
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def abandon_output(self) -> None:
        """Stops to wait for output: something that outlived the process holds its streams."""
        for fd in list(self._outputs):
            self._end_output(fd)

    def finish(self) -> None:
        """Ends every client's stream, each as soon as it has read what waits for it."""
        self._close_input()
        for client in list(self._clients):
            client.closing = True
            self._flush(client)

    def close(self) -> None:
        """Lets go of everything at once."""
        self._close_input()
        for fd in list(self._outputs):
            self._forget(fd)
        for client in list(self._clients):
            self._drop(client)

    def _add_output(self, fd: int, stream: int) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = stream
        self._paused.add(fd)
        self._resume()

    def _read(self, fd: int, mask: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # EIO: the last process has closed its side of the terminal
        if not data:
            self._end_output(fd)
            return
        stream = self._outputs[fd]
        self._on_output(stream, data)
        # In tuple form, since a client that is gone leaves the list while it is walked.
        for client in tuple(self._clients):
            if stream in client.streams and not client.closing:
                client.waiting += data if self.tty else bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
                self._flush(client)
        if any(len(client.waiting) > _WAITING for client in self._clients):
            self._pause()

    def _pause(self) -> None:
        for fd in self._outputs.keys() - self._paused:
            self._selector.unregister(fd)
            self._paused.add(fd)

    def _resume(self) -> None:
        if self._held or any(len(client.waiting) > _WAITING for client in self._clients):
            return
        for fd in self._paused:
            self._selector.register(fd, selectors.EVENT_READ, functools.partial(self._read, fd))
        self._paused.clear()

    def _end_output(self, fd: int) -> None:
        self._forget(fd)
        if not self._outputs:
            self._on_quiet()

    def _forget(self, fd: int) -> None:
        if fd in self._paused:
            self._paused.remove(fd)
        else:
            self._selector.unregister(fd)
        del self._outputs[fd]
        os.close(fd)

    def _serve(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._flush(client)
        if mask & selectors.EVENT_READ and client in self._clients:
            self._take_input(client)

    def _take_input(self, client: Client) -> None:
        try:
            data = client.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        if data:
            if client.gives_input and self._accepts_input:
                self._input_waiting += data
                self._flush_input()
            return
        # The client has ended its side. It may still read.
        self._watch(client, reading=False)
        if client.gives_input and not self._keeps_input and not self.tty:
            self._input_ending = True
            self._flush_input()
        if _is_gone(client.connection):
            self._drop(client)

    @property
    def _accepts_input(self) -> bool:
        return self._input is not None or self.pid == 0

    def _flush_input(self) -> None:
        if self._input is None:
            return
        try:
            while self._input_waiting:
                sent = os.write(self._input, self._input_waiting[:_CHUNK])
                del self._input_waiting[:sent]
        except BlockingIOError:
            self._await_input()
            return
        except OSError:
            self._input_waiting.clear()  # nobody reads it
            self._input_ending = True
        self._await_input()
        if self._input_ending:
            self._close_input()

    def _await_input(self) -> None:
        """Watches the process's input while bytes wait for it, and clients only while few do."""
        fd = self._input
        if fd is None:
            return
        watched = fd in self._selector.get_map()
        if self._input_waiting and not watched:
            self._selector.register(fd, selectors.EVENT_WRITE, lambda mask: self._flush_input())
        elif not self._input_waiting and watched:
            self._selector.unregister(fd)
        for client in self._clients:
            if client.gives_input and not client.closing:
                self._watch(client, reading=len(self._input_waiting) < _INPUT_WAITING and not self._input_ending)

    def _close_input(self) -> None:
        if self._input is not None:
            if self._input in self._selector.get_map():
                self._selector.unregister(self._input)
            os.close(self._input)
            self._input = None
        self._input_waiting.clear()

    def _flush(self, client: Client) -> None:
        try:
            while client.waiting:
                sent = client.connection.send(memoryview(client.waiting)[: 4 * _CHUNK].tobytes())
                del client.waiting[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if client.closing and not client.waiting:
            self._drop(client)
            return
        self._watch(client)
        self._resume()

    def _watch(self, client: Client, reading: bool | None = None) -> None:
        """Registers a client for what is awaited of it: to read from it (as before, unless told), and to write while bytes wait."""
        registered = self._selector.get_map().get(client.connection)
        before = registered.events if registered else 0
        wanted = before & selectors.EVENT_READ if reading is None else selectors.EVENT_READ if reading else 0
        wanted |= selectors.EVENT_WRITE if client.waiting else 0
        if wanted == before:
            return
        if registered and wanted:
            self._selector.modify(client.connection, wanted, registered.data)
        elif registered:
            self._selector.unregister(client.connection)
        elif wanted:
            self._selector.register(client.connection, wanted, lambda mask: self._serve(client, mask))

    def _drop(self, client: Client) -> None:
        if client not in self._clients:
            return
        self._clients.remove(client)
        with suppress(KeyError):
            self._selector.unregister(client.connection)
        client.connection.close()
        self._resume()


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed altogether, not just its sending side."""
    watcher = select.poll()
    watcher.register(connection, 0)
    return any(mask & (select.POLLHUP | select.POLLERR) for _, mask in watcher.poll(0))
