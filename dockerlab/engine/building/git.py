"""A git repository as a file tree, for ADD and for a context, where the `git` command is installed.

    with checkout("https://host/project.git#main:docs", tmp, cancellation) as view: …

What is after the `#` is a branch, a tag or a commit, and after a `:` a folder. Only what is needed is fetched, without history where the
server can do that. The directory is gone at the end. No repository decides what is run here: no hooks, no filters, no other protocols.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dockerlab.engine.building.cancellation import Cancellation
from dockerlab.engine.home import BUILD_FILES
from dockerlab.engine.rootfs.directory_view import DirectoryView
from dockerlab.engine.rootfs.reading import View, resolve
from dockerlab.engine.rootfs.removal import remove
from dockerlab.errors import EngineError, UsageError

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SSH: Final = re.compile(r"[A-Za-z0-9][\w.+-]*@[\w.-]+:(?!//).+")
_PROTOCOLS: Final = ("http://", "https://", "git://", "ssh://")
_SETTINGS: Final = (
    *(
        "-c",
        "protocol.allow=never",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.autocrlf=false",
        "-c",
        "advice.detachedHead=false",
    ),
    *(text for name in ("http", "https", "git", "ssh") for text in ("-c", f"protocol.{name}.allow=always")),
)
_LINES: Final = 5


@dataclass(frozen=True)
class Repository:
    """ref: a branch, a tag or a commit, "" for the default. folder: in it, "" for all of it."""

    url: str
    ref: str = ""
    folder: str = ""


def is_repository(text: str) -> bool:
    """Whether a source of ADD, or a context's URL, names a repository, by Docker's rules."""
    url = text.partition("#")[0].partition("?")[0]
    if url.startswith(("http://", "https://")):
        return url.endswith(".git")
    return url.startswith(("git://", "ssh://", "github.com/")) or _SSH.fullmatch(url) is not None


def parse(text: str) -> Repository:
    """Raises UsageError for what could be an option, or leads out of the repository."""
    url, _, fragment = text.partition("#")
    ref, _, folder = fragment.partition(":")
    url = f"https://{url}" if url.startswith("github.com/") else url
    if url.startswith("-") or ref.startswith("-") or any(not char.isprintable() or char.isspace() for char in url + ref):
        raise UsageError(f"invalid git URL: {text}")
    return Repository(url, ref, folder.strip("/"))


@contextmanager
def checkout(text: str, tmp: Path, cancellation: Cancellation, *, keep_git_dir: bool = False) -> Iterator[View]:
    """All files are as old as the commit. Raises EngineError, UsageError, Cancelled."""
    repository = parse(text)
    program = shutil.which("git")
    if program is None:
        raise EngineError(
            f"{text} needs git, which is not installed here", hint="Install git, or ADD an archive of it.", status=500
        )
    scratch = Path(tempfile.mkdtemp(prefix=f"{BUILD_FILES}git-", dir=tmp))
    try:
        place = scratch / "repository"
        place.mkdir()
        run = _Git(program, place, cancellation, scratch)
        mtime = _fetch(run, repository)
        if not keep_git_dir:
            remove(place / ".git")
        if repository.folder:
            place = place / _folder(place, repository, text)
        view = DirectoryView(place, mtime=mtime)
        try:
            yield view
        finally:
            view.close()
    finally:
        remove(scratch)


def _fetch(run: _Git, repository: Repository) -> int:
    run("init", "--quiet")
    run("remote", "add", "--", "origin", repository.url)
    wanted = repository.ref or "HEAD"
    try:
        run("fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", wanted)
        commit = "FETCH_HEAD"
    except EngineError:
        # A server without shallow clones, or one that gives no commit by its name: all of it.
        run(
            "fetch",
            "--quiet",
            "--tags",
            "origin",
            "--",
            "+refs/heads/*:refs/remotes/origin/*",
            *([] if repository.ref else ["HEAD"]),
        )
        names = [wanted] if _COMMIT.fullmatch(wanted) else [f"refs/remotes/origin/{wanted}", f"refs/tags/{wanted}", wanted]
        commit = next((name for name in names if run.succeeds("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")), "")
        if wanted == "HEAD":
            commit = "FETCH_HEAD"
        if not commit:
            raise EngineError(f"repository {repository.url} does not contain ref {wanted}", status=500) from None
    run("checkout", "--quiet", "--force", "--detach", commit)
    modules, update = run.place / ".gitmodules", ("submodule", "--quiet", "update", "--init", "--recursive")
    if modules.is_file() and not modules.is_symlink() and not run.succeeds(*update, "--depth=1"):
        run(*update)
    return int(run("log", "-1", "--format=%ct").strip() or 0) * 10**9


class _Git:
    """Calls git in `place`. cancellation: ends it, and what it has started."""

    def __init__(self, program: str, place: Path, cancellation: Cancellation, home: Path) -> None:
        self._program, self.place, self._cancellation, self._home = program, place, cancellation, home

    def __call__(self, *words: str) -> str:
        self._cancellation.check()
        process = subprocess.Popen(
            [self._program, *_SETTINGS, *words],
            cwd=self.place,
            env=self._environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            umask=0o022,
        )
        with process, self._cancellation.calling(lambda: _kill(process)):
            try:
                out, said = process.communicate()
            except BaseException:
                _kill(process)
                raise
        self._cancellation.check()
        if process.returncode:
            raise EngineError(
                f"git {words[0]} failed: exit status {process.returncode}", evidence=said.splitlines()[-_LINES:], status=500
            )
        return out

    def succeeds(self, *words: str) -> bool:
        """Whether it ends with 0."""
        try:
            self(*words)
        except EngineError:
            self._cancellation.check()
            return False
        return True

    def _environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
        settings = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        ssh = {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
        return {**kept, **settings, **ssh, "GIT_CEILING_DIRECTORIES": str(self._home)}


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def _folder(place: Path, repository: Repository, text: str) -> str:
    """Where the folder is, no component a link."""
    view = DirectoryView(place)
    try:
        found = resolve(view, repository.folder)
        entry = view.lookup(found)
    finally:
        view.close()
    if entry is None or entry.kind != "directory":
        raise EngineError(f"{text}: the repository has no folder {repository.folder}", status=500)
    return found
