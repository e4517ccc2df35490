"""The `dockerlab` command: each verb calls one function.

    dockerlab                          what it can do
    dockerlab engine VERB …            the embedded engine; handed over to `python -m dockerlab.engine`
    dockerlab images prepare [NAME …]  base images: found, pulled, or made from this machine's files
    dockerlab course export DIR        the course's notebooks as a website, for reading without a kernel
    dockerlab course copy DIR          the course's notebooks, to run
    dockerlab doctor                   what works on this machine
    dockerlab export NOTEBOOK DIR      a notebook's Dockerfiles and files, as a folder with a README
    dockerlab import DIR NOTEBOOK      a folder's Dockerfiles and files, as a notebook

Exit codes: 0; 1 where something failed, or where `doctor` finds that no container can run; 2 for a wrong argument; of `engine`, its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from dockerlab import __version__
from dockerlab.errors import DockerlabError


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out a command line; that of this process if none is given. Gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["engine"]:
        return _engine(words[1:])
    arguments = _parser().parse_args(words or ["--help"])
    try:
        return int(arguments.verb(arguments))
    except DockerlabError as error:
        _complain(error)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever read the output has left: nothing is flushed to it at the end
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dockerlab", description="Containers, learned and used from a Jupyter notebook.")
    parser.add_argument("--version", action="version", version=f"dockerlab {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    verbs.add_parser("engine", help="the embedded engine: start, stop, status, logs, check, df, prune")  # see `main`
    images = verbs.add_parser("images", help="base images").add_subparsers(metavar="VERB", required=True)
    text = "Makes sure that the engine has base images: those that are missing are pulled, or made from this machine's files."
    prepare = images.add_parser("prepare", help="make sure that base images are there", description=text)
    prepare.add_argument(
        "names", nargs="*", metavar="NAME", help="busybox, python:3.10, debian or registry:2; all that can be made, if none"
    )
    prepare.set_defaults(verb=_prepare)
    course = verbs.add_parser("course", help="the course's notebooks").add_subparsers(metavar="VERB", required=True)
    text = "Writes notebooks, those of the course if none are named, as a small website that needs no kernel, no script and no network."
    site = course.add_parser("export", help="as a website, for reading", description=text)
    site.add_argument("folder", metavar="DIR", help="where to; made if need be")
    site.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="notebooks of your own, in that order")
    site.set_defaults(verb=_export_course)
    text = "Copies the course's notebooks, and a template for one of your own. A file that is there already is never replaced."
    copies = course.add_parser("copy", help="to run them", description=text)
    copies.add_argument("folder", metavar="DIR", help="where to; made if need be")
    copies.set_defaults(verb=_copy_course)
    text = "Tries what works on this machine, and says what each lack costs and what mends it."
    doctor = verbs.add_parser("doctor", help="what works on this machine", description=text)
    doctor.set_defaults(verb=_doctor)
    _add_project_verbs(verbs)
    return parser


def _add_project_verbs(verbs: Any) -> None:
    text = "Writes a notebook's Dockerfiles, the files of its build context, and a README with the docker commands into a folder."
    export = verbs.add_parser("export", help="a notebook as a project", description=text)
    export.add_argument("notebook", metavar="NOTEBOOK", help="a .ipynb file")
    export.add_argument("directory", metavar="DIR", help="the folder; made where it is not there")
    export.add_argument("--force", action="store_true", help="overwrite files that are there")
    export.set_defaults(verb=_export)
    text = "Makes a notebook of a folder with a Dockerfile, or several: a cell a file, a cell a stage with what it does."
    back = verbs.add_parser("import", help="a project as a notebook", description=text)
    back.add_argument("directory", metavar="DIR", help="the folder, with Dockerfile, Dockerfile.NAME or NAME.Dockerfile")
    back.add_argument("notebook", metavar="NOTEBOOK", help="the .ipynb file to write")
    back.add_argument("--force", action="store_true", help="overwrite it")
    back.set_defaults(verb=_import)


def _engine(words: Sequence[str]) -> int:
    from dockerlab.embedded import program

    command, environ = program(os.environ)
    if os.name == "posix":
        os.execve(command[0], [*command, *words], environ)
    return subprocess.run([*command, *words], env=environ, check=False).returncode


def _prepare(arguments: argparse.Namespace) -> int:
    from dockerlab import standins
    from dockerlab.client import connect

    client = connect()
    failed = 0
    for name in arguments.names or standins.makeable():
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            print(standins.prepare(name, client=client), flush=True)
        except DockerlabError as error:
            _complain(error)
            failed = 1
    client.close()
    return failed


def _export_course(arguments: argparse.Namespace) -> int:
    from dockerlab.course.export import export

    print(export(arguments.folder, arguments.notebooks))
    return 0


def _copy_course(arguments: argparse.Namespace) -> int:
    from dockerlab.course.notebooks import copy

    print(*copy(arguments.folder), sep="\n")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from dockerlab.doctor import examine

    diagnosis = examine()
    print(diagnosis)
    return 0 if diagnosis.can_run else 1


def _export(arguments: argparse.Namespace) -> int:
    from dockerlab.project import export_project

    print(export_project(arguments.notebook, arguments.directory, force=arguments.force))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from dockerlab.project import import_project

    print(import_project(arguments.directory, arguments.notebook, force=arguments.force))
    return 0


def _complain(error: DockerlabError) -> None:
    print("\n".join(error.lines()), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
