"""The supervisor's loop: questions of the filter, stops and ends of processes, requests of the monitor. One thread.

It is the parent or adoptive parent of all the container's processes, and traces them; so their ids stay theirs until it has heard of
their end. When it ends, the kernel kills them.

Monitor and supervisor speak JSON on a SOCK_SEQPACKET socket:

    {"spawn": process}, with descriptors  →  {"pid": N}, or {"error": text}
    {"most": N}                           →  that many tasks from now on, 0 for as many as without a limit
    {"end": true}                         →  everything is killed, the socket is closed
                                          ←  {"exit": [pid, code]} for each process that was asked for
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from dockerlab.engine.rootfs.tree import Tree
from dockerlab.engine.rootfs.tree_snapshots import of
from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.limits import processors
from dockerlab.engine.runtime.plan import Network, Plan, process_from_json
from dockerlab.engine.runtime.supervisor import filters, identities, mounting, tracing
from dockerlab.engine.runtime.supervisor.answers import Given, Handler, Later, Paths
from dockerlab.engine.runtime.supervisor.attributes import Attributes
from dockerlab.engine.runtime.supervisor.birth import Descriptors, be_born
from dockerlab.engine.runtime.supervisor.changes import Changes
from dockerlab.engine.runtime.supervisor.executables import Executables
from dockerlab.engine.runtime.supervisor.listener import Listener
from dockerlab.engine.runtime.supervisor.machine import this_machine
from dockerlab.engine.runtime.supervisor.members import Member, Members
from dockerlab.engine.runtime.supervisor.opening import Opening
from dockerlab.engine.runtime.supervisor.others import Others
from dockerlab.engine.runtime.supervisor.status import Status
from dockerlab.engine.runtime.supervisor.stops import Exchanged, Stops
from dockerlab.engine.runtime.supervisor.tasks import Tasks
from dockerlab.engine.runtime.supervisor.view import View

_MESSAGE = 1 << 20
_GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ERESTARTSYS, _ERESTARTNOINTR = 512, 513  # the kernel's own, include/linux/errno.h
# Those that end a process from outside; a fault of its own ends it whoever it is.
_SPARED = {
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGTERM),
    *(signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
}
_SIGNALS = 128  # bytes of a signalfd_siginfo


class Supervisor:
    """control: to the monitor. Lives in a process of its own."""

    def __init__(self, plan: Plan, control: socket.socket) -> None:
        self._control = control
        self._machine = this_machine()
        self._members = Members()
        self._tasks = tasks = Tasks(self._members, plan.limits.pids)
        tree = of(plan.root)
        scratch = os.fsencode(plan.root.work)
        view = View(tree, self._members)
        mounting.build(view, plan, Member(os.getpid()), scratch)
        paths = Paths(view)
        others = Others(self._members, plan.hostname, plan.domainname)
        processes = mounting.Processes(scratch + b"/proc", self._members)
        view.stands_for(scratch + b"/proc", b"/proc")
        self._handlers = self._table(
            Opening(paths, mounting.made_up(view, self._members, lambda: others.hostname), {b"/proc": processes.update}).handlers(),
            Status(paths, self._machine).handlers(),
            Attributes(paths).handlers(),
            Changes(paths).handlers(),
            identities.handlers(),
            others.handlers(),
            tasks.handlers(),
        )
        executables = Executables(_cache(tree, scratch), scratch + b"/exec", self._machine)
        self._stops = Stops(paths, self._machine, executables, _network(plan), tree.trees)
        self._program = filters.program(self._machine)
        self._listeners: dict[int, Listener] = {}
        self._under_way: dict[int, Exchanged] = {}
        self._asked_for: set[int] = set()
        self._has_init = plan.init
        self._processors = processors(plan.limits.cpuset) if plan.limits.cpuset else ()
        self._one_processor = 0 < plan.limits.cpus <= 1 or _quota() <= 1
        self._ending = False
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files[1], self._files[1]))

    def run(self) -> None:
        """Serves until the monitor has gone or says so."""
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        os.umask(0)
        if self._processors:
            os.sched_setaffinity(0, self._processors)
        if self._one_processor:
            # Question and answer on one processor take two thirds of the time, and there is no more than one to be had.
            allowed = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})
        # Blocked, and read as a file: a signal that interrupts the handing over of a descriptor would lose it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        children = self._children = tracing.signal_descriptor(signal.SIGCHLD)
        poller = select.epoll()
        self._poller = poller
        poller.register(children, select.EPOLLIN)
        poller.register(self._control, select.EPOLLIN)
        control = self._control.fileno()
        listeners = self._listeners
        while not self._ending:
            for fd, events in poller.poll():
                if (listener := listeners.get(fd)) is not None:
                    if events & select.EPOLLIN:
                        self._answer(listener)
                    elif events & (select.EPOLLHUP | select.EPOLLERR):
                        poller.unregister(fd)
                        listeners.pop(fd).close()
                elif fd == children:
                    self._hear_children()
                elif fd == control:
                    self._serve_monitor()
        self._kill_all()

    # --- questions

    def _table(self, *groups: dict[str, Handler]) -> dict[int, Handler]:
        numbers = self._machine.numbers
        found = {name: handler for group in groups for name, handler in group.items()}
        missing = [name for name in (*filters.ANSWERED, *filters.ABOUT_OTHERS, *filters.FORKS) if name not in found]
        assert not missing, missing
        return {numbers[name]: handler for name, handler in found.items() if name in numbers}

    def _answer(self, listener: Listener) -> None:
        question = listener.receive()
        if question is None:
            return
        identifier, task, _, number = question[:4]
        self._tasks.forking.discard(task)  # its last fork has failed, or was begun anew after a signal
        member = self._members.of(task)
        if member is None:
            listener.answer(identifier, -errno.ENOSYS)
            return
        try:
            answer = self._handlers[number](member, task, question[6:])
        except OSError as failure:
            listener.answer(identifier, -(failure.errno or errno.EIO))
            return
        except Exception:  # noqa: BLE001  a fault of ours is the caller's error, not the end of its container
            traceback.print_exc(file=sys.stderr)
            listener.answer(identifier, -errno.EIO)
            return
        if type(answer) is int:
            listener.answer(identifier, answer)
        elif isinstance(answer, Given):
            listener.give(identifier, answer.fd, answer.close_on_exec)
        elif isinstance(answer, Later):
            threading.Thread(target=_wait, args=(listener, identifier, answer), daemon=True).start()
        else:
            listener.let_through(identifier)

    # --- stops and ends

    def _hear_children(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._children, _SIGNALS)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | tracing.WALL)
            except ChildProcessError:
                return
            if not pid:
                _kill(self._tasks.orphans())
                return
            if os.WIFSTOPPED(status):
                with suppress(ProcessLookupError):  # it was killed as it stopped
                    self._stopped(pid, os.WSTOPSIG(status), status >> 16)
            else:
                self._ended(pid, status)

    def _ended(self, pid: int, status: int) -> None:
        self._tasks.ended(pid)
        self._members.remove(pid)
        if (exchanged := self._under_way.pop(pid, None)) is not None:
            exchanged.release()
        if pid in self._asked_for:
            self._asked_for.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            self._tell({"exit": [pid, code if code >= 0 else 128 - code]})

    def _stopped(self, pid: int, number: int, event: int) -> None:
        self._tasks.forking.discard(pid)
        if event == tracing.EVENT_SECCOMP:
            self._exchange(pid)
        elif event in (tracing.EVENT_FORK, tracing.EVENT_VFORK, tracing.EVENT_CLONE):
            self._forked(pid, tracing.event_message(pid))
        elif event == tracing.EVENT_EXEC:
            self._executed(pid)
        elif event == tracing.EVENT_STOP:
            if number in _GROUP_STOPS:
                tracing.listen(pid)
            elif self._members.contains(pid):
                self._resume(pid)
            else:
                self._tasks.early.add(pid)
        elif number == signal.SIGTRAP | 0x80:
            self._finish(pid)
        else:
            self._restart(pid)
            self._resume(pid, 0 if self._is_spared(pid, number) else number)

    def _is_spared(self, pid: int, number: int) -> bool:
        """Whether a signal would end the container's first process, which has no handler for it: PID 1 is spared those (kill(2))."""
        member = self._members.of(pid)
        if number not in _SPARED or self._has_init or member is None or member.pid != self._members.first:
            return False
        caught = next((line for line in kernel.open_text(f"/proc/{pid}/status").splitlines() if line.startswith("SigCgt:")), ":0")
        return not int(caught.partition(":")[2], 16) >> (number - 1) & 1

    def _restart(self, pid: int) -> None:
        """A signal that came before the supervisor had heard of a call: calls such as rmdir never fail with EINTR, it is made again.

        Only where the kernel decides after this stop; arm64's has done so before.
        """
        if not self._machine.number_apart:
            registers = tracing.Registers(self._machine, pid)
            if registers.result == -_ERESTARTSYS and registers.number in self._handlers:
                registers.set_result(-_ERESTARTNOINTR)
                registers.store()

    def _resume(self, pid: int, number: int = 0) -> None:
        tracing.resume(pid, number, until_exit=pid in self._under_way)

    def _forked(self, parent: int, child: int) -> None:
        self._members.add(parent, child)
        if child in self._tasks.early:
            self._tasks.early.discard(child)
            with suppress(ProcessLookupError):
                self._resume(child)
        self._resume(parent)

    def _exchange(self, pid: int) -> None:
        member = self._members.of(pid)
        registers = tracing.Registers(self._machine, pid)
        try:
            if member is None:
                raise OSError(errno.ENOSYS, "unknown task")
            exchanged = self._stops.exchange(member, pid, registers)
        except OSError as failure:
            registers.skip(-(failure.errno or errno.EIO))
            registers.store()
        except Exception:  # noqa: BLE001  as in `_answer`
            traceback.print_exc(file=sys.stderr)
            registers.skip(-errno.EIO)
            registers.store()
        else:
            if exchanged is not None:
                self._under_way[pid] = exchanged
        self._resume(pid)

    def _finish(self, pid: int) -> None:
        """A call that was exchanged has been made, or has failed."""
        exchanged = self._under_way.pop(pid, None)
        if exchanged is not None:
            registers = tracing.Registers(self._machine, pid)
            result = registers.result
            for index, value in exchanged.before.items():
                registers.set_argument(index, value)
            if self._machine.number_apart:
                registers.set_result(result)  # the first argument's register is the result's
            registers.store()
            if exchanged.after is not None and result >= 0:
                with suppress(OSError):  # the caller's own memory, which it has taken away
                    exchanged.after()
            exchanged.release()
        tracing.resume(pid)

    def _executed(self, pid: int) -> None:
        former = tracing.event_message(pid)
        exchanged = self._under_way.pop(former, None)
        self._under_way.pop(pid, None)
        member = self._members.executed(former, pid)
        if member is not None and exchanged is not None:
            member.program = exchanged.program
            if exchanged.identity is not None:
                member.identity = exchanged.identity
            with suppress(OSError):  # a program that does not ask misses nothing
                member.tell_path(exchanged.file)
        tracing.resume(pid)

    # --- the monitor

    def _serve_monitor(self) -> None:
        try:
            message, fds, _, _ = socket.recv_fds(self._control, _MESSAGE, 8)
        except OSError:
            message, fds = b"", []
        if not message:
            self._ending = True
            return
        request = json.loads(message)
        if "end" in request:
            self._ending = True
        elif "most" in request:
            self._tasks.limit(request["most"])
        elif "spawn" in request:
            try:
                self._tell({"pid": self._spawn(request["spawn"], fds)})
            except OSError as failure:
                self._tell({"error": str(failure)})
        for fd in fds:
            os.close(fd)

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(OSError):  # the monitor is gone: that ends this loop as well
            self._control.send(json.dumps(message).encode())

    def _spawn(self, value: dict[str, Any], fds: list[int]) -> int:
        process = process_from_json(value)
        stdio = (-1, -1, -1) if process.tty else (fds[0], fds[1], fds[2])
        ours, theirs = socket.socketpair()
        with ours:
            pid = os.fork()
            if not pid:
                be_born(process, Descriptors(stdio, fds[-2], fds[-1]), theirs, self._program, self._files)
            theirs.close()
            tracing.seize(pid)
            self._members.start(pid)
            self._members.first = self._members.first or pid
            self._asked_for.add(pid)
            ours.send(b"s")
            # Until it has its filter it can be stopped by signals, as by that of its terminal's size.
            while ours.fileno() not in select.select([ours.fileno(), self._children], [], [])[0]:
                self._hear_children()
            for fd in socket.recv_fds(ours, 1, 1)[1]:
                os.set_inheritable(fd, False)
                self._listeners[fd] = Listener(fd)
                self._poller.register(fd, select.EPOLLIN)
        return pid

    def _kill_all(self) -> None:
        """Kills everything, and waits for it. Zombies come to us as their parents end; a new task gets no further than its first stop."""
        _kill({*self._members.pids(), *self._tasks.early})
        while True:
            try:
                pid, status = os.waitpid(-1, tracing.WALL)
            except ChildProcessError:
                return
            if not os.WIFSTOPPED(status):
                self._ended(pid, status)
            elif not self._members.contains(pid):
                _kill([pid])


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _wait(listener: Listener, identifier: int, answer: Later) -> None:
    try:
        fd = answer.wait()
    except OSError as failure:
        listener.answer(identifier, -(failure.errno or errno.EIO))
        return
    listener.give(identifier, fd, answer.close_on_exec)


def _quota() -> float:
    """The processors that this machine, or the container that we are in, gives us."""
    count = float(len(os.sched_getaffinity(0)))
    with suppress(OSError, ValueError):  # no cgroup here, or no limit ("max")
        quota, period = kernel.open_text("/sys/fs/cgroup/cpu.max").split()
        count = min(count, int(quota) / int(period))
    return count


def _cache(tree: Tree, scratch: bytes) -> bytes:
    return os.path.dirname(tree.trees) + b"/exec" if tree.trees else scratch + b"/exec"


def _network(plan: Plan) -> Network:
    """A container without network has an address all the same, to speak to itself."""
    if plan.network.mode == "none" and not plan.network.address:
        number = int(plan.id[:6] or "0", 16) if all(digit in "0123456789abcdef" for digit in plan.id[:6]) else 1
        return Network("none", f"127.19.{number >> 8 & 255}.{number & 255 or 1}", plan.network.first_port)
    return plan.network
