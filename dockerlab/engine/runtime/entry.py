"""The last steps before a container's command runs, in its own process and inside its root: who, where, how much, and then exec.

What keeps a command from starting is written to the status pipe as JSON, `{"error": …, "exit_code": …}`, in the words of Docker's
runtime, from which the `docker` command tells 126 (cannot be run) from 127 (not found). The pipe closes when the command runs.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import signal
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from dockerlab.engine.runtime import kernel
from dockerlab.engine.runtime.account import Account, resolve
from dockerlab.engine.runtime.plan import Process
from dockerlab.errors import DockerlabError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_FOUND, NOT_RUNNABLE, NOT_STARTED = 127, 126, 125


class StartFailed(Exception):
    """A command that cannot be started. exit_code: 126 or 127."""

    def __init__(self, message: str, exit_code: int = NOT_RUNNABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report(status: int, failure: BaseException) -> None:
    """Writes why a start failed to the status pipe."""
    code = failure.exit_code if isinstance(failure, StartFailed) else NOT_RUNNABLE
    text = failure.message if isinstance(failure, DockerlabError) else str(failure)
    if isinstance(failure, OSError) and failure.strerror:
        text = ": ".join(filter(None, (failure.filename, failure.strerror.lower())))
    os.write(status, json.dumps({"error": text, "exit_code": code}).encode())


def account_of(process: Process) -> Account:
    """The account of `process.user`, looked up in this root. Raises EngineError as `account.resolve`."""
    return resolve(process.user, _text("/etc/passwd"), _text("/etc/group"), process.groups)


def environment(process: Process, account: Account) -> dict[str, str]:
    """The command's environment; HOME is the user's own where nothing sets it."""
    values = dict(item.partition("=")[::2] for item in process.env if "=" in item)
    values.setdefault("PATH", DEFAULT_PATH)
    if not values.get("HOME"):
        values["HOME"] = account.home
    return values


def change_directory(process: Process) -> None:
    """Goes to the working directory, which is made where the image does not have it. Raises StartFailed."""
    cwd = process.cwd or "/"
    try:
        if process.make_cwd:
            os.makedirs(cwd, 0o755, exist_ok=True)
        os.chdir(cwd)
    except (FileExistsError, NotADirectoryError) as error:
        if process.make_cwd:
            raise StartFailed(f"Cannot mkdir: {cwd} is not a directory", NOT_STARTED) from error
        raise StartFailed(f'chdir to cwd ("{cwd}") set in config.json failed: not a directory', NOT_FOUND) from error
    except OSError as error:
        raise StartFailed(
            f'chdir to cwd ("{cwd}") set in config.json failed: {os.strerror(error.errno or 0).lower()}', NOT_FOUND
        ) from error


def set_limits(rlimits: Sequence[tuple[str, int, int]]) -> None:
    """Resource limits by the names of `docker run --ulimit`. Raises StartFailed for one that this user may not set."""
    for name, soft, hard in rlimits:
        number = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if number is None:
            raise StartFailed(f"invalid ulimit type: {name}")
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError) as error:
            raise StartFailed(f"error setting rlimit type {name}: operation not permitted") from error


def adjust_oom_score(score: int) -> None:
    """How soon the kernel ends this process where memory is short. Only a privileged user may make it later: else it stays."""
    if score:
        with suppress(PermissionError):
            kernel.write_text("/proc/self/oom_score_adj", str(score))


def find_program(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """The file that `argv` runs, as execvp(3) finds it. Raises StartFailed with the runtime's texts."""
    name = argv[0] if argv else ""
    if not name:
        raise StartFailed('exec: "": executable file not found in $PATH', NOT_FOUND)
    if "/" in name:
        problem = _problem(name)
        if problem:
            code = NOT_FOUND if problem in ("no such file or directory", "not a directory") else NOT_RUNNABLE
            raise StartFailed(f'exec: "{name}": {"stat " + name + ": " if code == NOT_FOUND else ""}{problem}', code)
        return name
    denied = False
    for folder in environ.get("PATH", DEFAULT_PATH).split(":"):
        path = os.path.join(folder or ".", name)
        problem = _problem(path)
        if not problem:
            return path
        denied = denied or problem == "permission denied"
    raise StartFailed(f'exec: "{name}": executable file not found in $PATH', NOT_FOUND)


def take_terminal(fd: int, size: tuple[int, int] | None) -> None:
    """Makes the terminal at `fd` this session's own. size: (rows, columns)."""
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    if size:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def reset_signals() -> None:
    """What Python changed: ignored signals stay ignored across exec."""
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def execute(argv: Sequence[str], environ: Mapping[str, str], become: Callable[[], None]) -> None:
    """Becomes the user by `become`, then the command; does not return. Raises StartFailed."""
    program = find_program(argv, environ)
    become()
    try:
        os.execve(program, list(argv), dict(environ))
    except OSError as error:
        reason = "exec format error" if error.errno == errno.ENOEXEC else os.strerror(error.errno or 0).lower()
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_RUNNABLE
        raise StartFailed(f"exec {program}: {reason}", code) from error


def _problem(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    if os.path.isdir(path):
        return "is a directory: permission denied"
    return "" if found.st_mode & 0o111 else "permission denied"


def _text(path: str) -> str:
    try:
        return kernel.open_text(path)
    except OSError:
        return ""  # an image without accounts: numbers still work
