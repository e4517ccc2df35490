"""`python -m dockerlab.engine VERB`: the engine's process, for people and for `dockerlab.client`.

`start` and `status` print `DOCKER_HOST=unix://…` on standard output, and nothing else there: `export $(dockerlab engine start)`.
What they have to say to people goes to standard error. Without a verb, the verbs are shown.

Exit codes: 0; 1 for an error; 2 for a wrong argument; 3 where no engine runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockerlab import __version__
from dockerlab.errors import Conflict, DockerlabError

if TYPE_CHECKING:
    from dockerlab.engine.home import Home
    from dockerlab.engine.http.types import Route
    from dockerlab.engine.owner import Owner
    from dockerlab.engine.process import Served

NOT_RUNNING = 3
_VARIABLES = """\
environment variables:
  DOCKERLAB_ENGINE_ROOT       where its data is kept; ~/.local/share/dockerlab/engine if not set
  DOCKERLAB_ENGINE_RUNTIME    where its socket is; a short path; dockerlab in XDG_RUNTIME_DIR if not set
  DOCKERLAB_ENGINE_IDLE       after how many seconds without work it ends; 300 if not set, 0 for never
  DOCKERLAB_ENGINE_ISOLATION  supervised: run containers under the supervisor, even where namespaces are to be had
  DOCKERLAB_REGISTRIES        mirrors and registries without TLS: JSON, or its file; registries.json in its root if not set
"""


def main(argv: Sequence[str]) -> int:
    """Carries out a verb. Gives the exit code."""
    arguments = _parser().parse_args(argv or ["--help"])
    if sys.platform != "linux":
        print("dockerlab's engine runs on Linux only: a container needs a Linux kernel.", file=sys.stderr)
        print("\n→ Start Docker Desktop or Podman; dockerlab uses it.", file=sys.stderr)
        return 1
    try:
        return int(arguments.verb(arguments))
    except DockerlabError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read the output has left: nothing is flushed to it at the end
        return 1
    except OSError as error:
        if arguments.verb is _serve:
            raise  # to the log, with where it happened
        print(f"{error.filename or 'the engine'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dockerlab engine",
        description="The engine that dockerlab brings along: containers without Docker and without root.",
        epilog=_VARIABLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, action: object, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(verb=action)
        return added

    start = verb("start", _start, "Start it where it does not run yet, and print its DOCKER_HOST: export $(dockerlab engine start)")
    # For `dockerlab.embedded.start`: with which process it ends, and what of it goes then.
    start.add_argument("--owner", type=_count, metavar="PID", help=argparse.SUPPRESS)
    start.add_argument("--folder", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    stop = verb("stop", _stop, "Stop its containers, then the engine; the next one starts those with a restart policy again.")
    stop.add_argument("--keep-containers", action="store_true", help="let containers run on; the next engine finds them again")
    verb("status", _status, "Print its DOCKER_HOST, and what it runs.")
    logs = verb("logs", _logs, "Print what it has logged.")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what it logs from now on")
    logs.add_argument("-n", "--tail", type=_count, default=100, metavar="N", help="how many lines; 100 if not given")
    check = verb("check", _check, "Look for what a crash left behind.")
    check.add_argument("--repair", action="store_true", help="mend it")
    verb("df", _df, "Say what takes up how much disk.")
    prune = verb("prune", _prune, "Remove stopped containers, unused networks and dangling images.")
    prune.add_argument("-a", "--all", action="store_true", help="all images that no container uses, not only dangling ones")
    prune.add_argument("--volumes", action="store_true", help="volumes that no container uses, too")
    verb("probe", _probe, "Find out what containers get on this machine, as JSON.")
    serve = verb("serve", _serve, "Run it in this process, until it is interrupted.")
    serve.add_argument("--ready", type=int, metavar="FD", help=argparse.SUPPRESS)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"not a number of lines: '{text}'")
    return int(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _start(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, home

    owner = None
    if arguments.owner:
        from dockerlab.engine.owner import Owner

        owner = Owner.of(arguments.owner, arguments.folder)
    instance, is_new = control.start(home.find(os.environ), control.forked(lambda descriptor: _serve_for(descriptor, owner)))
    print(f"DOCKER_HOST={instance.host}", flush=True)
    _say(f"The engine {'has started' if is_new else 'runs already'} (process {instance.pid}).")
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, home

    was_there = control.stop(home.find(os.environ), _say, keep_containers=arguments.keep_containers)
    _say("The engine has stopped." if was_there else "No engine runs.")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, home

    place = home.find(os.environ)
    instance = control.find(place)
    if instance is None:
        _say("No engine runs.\n\n→ `dockerlab engine start` starts it; so does the first magic of a notebook that finds no other.")
        return NOT_RUNNING
    print(f"DOCKER_HOST={instance.host}", flush=True)
    try:
        info = control.ask(instance.host, "GET", "/info", seconds=10)
    except OSError as error:
        _say(f"Process {instance.pid} does not answer: {error}\n\n→ Its log: {control.log_path(place)}")
        return 1
    _say(
        f"The engine runs (process {instance.pid}, version {info['ServerVersion']}): {info['ContainersRunning']} of "
        f"{info['Containers']} containers run, {info['Images']} images.\nData: {place.root}"
    )
    if info["ServerVersion"] != __version__:
        _say(f"\n→ This is dockerlab {__version__}. `dockerlab engine stop --keep-containers`, then `start`, runs that version.")
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, home

    path = control.log_path(home.find(os.environ))
    if not path.exists():
        _say("No engine has run here yet.")
    for line in control.follow(path, arguments.tail) if arguments.follow else control.tail(path, arguments.tail):
        print(line, flush=arguments.follow)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import upkeep

    return upkeep.check(arguments.repair)


def _df(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, upkeep

    return upkeep.df(control.forked(_serve_for))


def _prune(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import control, upkeep

    return upkeep.prune(control.forked(_serve_for), every_image=arguments.all, volumes=arguments.volumes)


def _probe(arguments: argparse.Namespace) -> int:
    from dockerlab.engine import home
    from dockerlab.engine.runtime.probe import probe

    place = home.find(os.environ)
    print(json.dumps({**probe(place.root, everything=True).to_json(), "root": str(place.root), "host": place.host}))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    _serve_for(arguments.ready)
    return 0


def _serve_for(descriptor: int | None, owner: Owner | None = None) -> None:
    from dockerlab.engine import home
    from dockerlab.engine.runtime.probe import Probing

    probing = None
    with suppress(DockerlabError):  # `serve` meets it, too, and tells
        place = home.find(os.environ)
        place.create()
        # It takes as long as the imports that follow.
        probing = Probing(place.root)
    from dockerlab.engine.api import routes
    from dockerlab.engine.core import Engine

    serve_and_report(descriptor, lambda home: Engine(home, probing), routes, owner)


def serve_and_report(
    descriptor: int | None,
    open_engine: Callable[[Home], Served],
    routes: Callable[[], Sequence[Route]],
    owner: Owner | None = None,
) -> None:
    """Serves, and tells on a pipe how the start went. descriptor: the pipe's; None in the foreground."""
    from dockerlab.engine import control, home, process

    waiting = [] if descriptor is None else [descriptor]
    if descriptor is not None:
        os.set_inheritable(descriptor, False)
        sys.stdout.flush()
        sys.stderr.flush()
        if os.fork():
            os._exit(0)  # so that the engine is nobody's child: whoever started it need not wait for its end
        # Not where it was started: that directory may be unmounted or removed one day.
        os.chdir("/")

    def report(error: DockerlabError | None = None) -> None:
        while waiting:
            with suppress(BrokenPipeError), os.fdopen(waiting.pop(), "wb") as pipe:  # whoever started it waits no longer
                pipe.write(control.report_of(error, conflict=isinstance(error, Conflict)))

    _log_to_standard_error()
    try:
        process.serve(home.find(os.environ), open_engine, routes(), os.environ, report, owner)
    except DockerlabError as error:
        report(error)
        raise


def _log_to_standard_error() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
