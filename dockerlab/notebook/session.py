"""What the magics of one kernel share."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dockerlab.client import Client, connect

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from dockerlab.builds import Build
    from dockerlab.errors import BuildError, DockerfileError
    from dockerlab.notebook.names import Names
    from dockerlab.project.growth import Growth

_BUILDS = 20  # records, each with its log

# What decides which engine is meant; when one of them changes, the next magic connects anew.
_ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class Session:
    """shell: the IPython shell. files: the notebook's build context, path → content; replaced, never changed in place.

    failed: of the last build that failed in a cell, for `%container debug`. built: records of builds in cells, by the image's id, for
    `%pipeline`. hints: how many of an exercise were given, by its name. growths: Dockerfiles that grow cell by cell, by the image's
    name.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.files: dict[str, bytes] = {}
        self.failed: BuildError | DockerfileError | None = None
        self.built: dict[str, Build] = {}
        self.hints: dict[str, int] = {}
        self.growths: dict[str, Growth] = {}
        self._watches_cells = False
        self._client: Client | None = None
        self._connected_for: tuple[str | None, ...] = ()
        self._connecting = threading.Lock()  # <TAB> connects from a thread of its own

    @property
    def client(self) -> Client:
        """The engine that `docker` would use now; connected on first use. Raises NoEngine."""
        with self._connecting:
            wanted = tuple(os.environ.get(name) for name in _ENGINE_VARIABLES)
            if self._client is None or wanted != self._connected_for:
                client = connect()
                if self._client is not None:
                    self._client.close()
                self._client, self._connected_for = client, wanted
            return self._client

    def close(self) -> None:
        """Closes the connections. Another magic would connect anew."""
        with self._connecting:
            if self._client is not None:
                self._client.close()
            self._client = None
        if self._watches_cells:
            self._watches_cells = False
            self.shell.events.unregister("pre_run_cell", self._forget_deleted)

    def remember(self, build: Build) -> None:
        """Keeps the record of a build that made an image; of many the newest."""
        if build.image_id:
            self.built.pop(build.image_id, None)
            self.built[build.image_id] = build
        while len(self.built) > _BUILDS:
            self.built.pop(next(iter(self.built)))

    @cached_property
    def names(self) -> Names:
        """The names that <TAB> offers."""
        from dockerlab.notebook.names import Names

        return Names(lambda: self.client)

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's variables."""
        names: dict[str, Any] = self.shell.user_ns
        return names

    @property
    def is_live(self) -> bool:
        """Whether a display may change after it was first shown.

        Not under a test run (nbval's kernel inherits pytest's environment) and not where DOCKERLAB_STATIC is set: a display is then
        shown once, in its final form.
        """
        return not (os.environ.get("PYTEST_VERSION") or os.environ.get("DOCKERLAB_STATIC"))

    @property
    def is_terminal(self) -> bool:
        """Whether the shell is a terminal's, which has no page."""
        return not hasattr(self.shell, "kernel")

    @property
    def is_in_page(self) -> bool:
        """Whether the cell that runs stands in a page, which a live view could be in.

        A page names the cell in what it asks of the kernel. A program that executes notebooks (nbconvert, papermill) does not, and would
        keep a widget's state, its JavaScript included, in the file.
        """
        if not self.is_live or self.is_terminal:
            return False
        return "cellId" in self._request

    @property
    def cell(self) -> str:
        """The id of the cell that runs, as the page names it; "" where it does not."""
        identity = self._request.get("cellId")
        return identity if isinstance(identity, str) else ""

    def grow(self, name: str, growth: Growth) -> None:
        """Keeps a Dockerfile that grows. From the first one on, what the page says of deleted cells is heeded."""
        self.growths[name] = growth
        if not self._watches_cells:
            self._watches_cells = True
            events: Any = self.shell.events
            events.register("pre_run_cell", self._forget_deleted)

    def _forget_deleted(self, *_: object) -> None:
        deleted = self._request.get("deletedCells")
        if isinstance(deleted, list) and deleted:
            self.growths = {name: growth.without(deleted) for name, growth in self.growths.items()}

    @property
    def _request(self) -> dict[str, Any]:
        """What the page says of the cell that it asks the kernel to run; {} in a terminal."""
        kernel: Any = getattr(self.shell, "kernel", None)  # of ipykernel's shell
        found = kernel.get_parent().get("metadata") if kernel else None
        return found if isinstance(found, dict) else {}
