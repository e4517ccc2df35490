"""`%%dockerfile`: the cell is a Dockerfile. `%dockerfile -f FILE [DIR]`: a Dockerfile on disk."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerlab import reference
from dockerlab.builds import Build, build, export
from dockerlab.builds.checking import check
from dockerlab.builds.secrets import Secrets
from dockerlab.builds.staging import stages
from dockerlab.errors import BuildError, DockerfileError, DockerlabError, UsageError
from dockerlab.faces.shown import Shown
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command
from dockerlab.notebook.expand import words
from dockerlab.notebook.live import LiveDisplay
from dockerlab.notebook.live_build import LiveBuild
from dockerlab.pipelines import pipeline
from dockerlab.project import commands as project_commands
from dockerlab.project.command import Command
from dockerlab.project.flags import read
from dockerlab.project.growth import Growth

if TYPE_CHECKING:
    from dockerlab.builds.staging import StageGraph
    from dockerlab.faces.checks import Findings
    from dockerlab.images import Image
    from dockerlab.notebook.session import Session
    from dockerlab.pipelines import Pipeline


_APPEND = """--append -t app grows the Dockerfile of app cell by cell. A new cell goes to the end; one that is run
again, edited or not, keeps its place. Each cell builds the Dockerfile down to itself: after a change above, run the
cells below again. A deleted cell is gone. A cell without --append begins anew."""


def parsers() -> dict[str, Parser]:
    """The magic's parser, under the key ''; completion reads it too."""
    parser = Parser(
        "%%dockerfile",
        "Builds an image from the cell; `%dockerfile -f FILE [DIR]`, on one line, from a file on disk.\n"
        "The build context is what %%context holds; with --context, the folder with those files over it.",
        epilog=_APPEND,
    )
    parser.add_argument("directory", nargs="?", metavar="DIR", help="with %dockerfile: the build context, as --context")
    parser.add_argument("-f", "--file", metavar="FILE", help="with %dockerfile: the Dockerfile; DIR/Dockerfile unless given")
    parser.add_argument(
        "-t", "--tag", action="append", default=[], metavar="NAME", help="a name for the image, name:tag; repeatable"
    )
    parser.add_argument(
        "--build-arg",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a value for an ARG; KEY alone takes the environment's",
    )
    parser.add_argument(
        "--append", action="store_true", help="go on with the Dockerfile that earlier cells of this -t have begun; see below"
    )
    parser.add_argument("--target", metavar="STAGE", help="the stage to build")
    parser.add_argument("--no-cache", action="store_true", help="run every step anew")
    parser.add_argument(
        "--no-cache-filter", action="append", default=[], metavar="STAGE", help="run a stage's steps anew; repeatable"
    )
    parser.add_argument("--pull", action="store_true", help="ask the registry for a newer base image")
    parser.add_argument("--platform", metavar="OS/ARCH", help="such as linux/amd64")
    parser.add_argument("--label", action="append", default=[], metavar="KEY=VALUE", help="a label of the image; repeatable")
    parser.add_argument(
        "--cache-from", action="append", default=[], metavar="IMAGE", help="an image whose layers count as a cache, too; repeatable"
    )
    parser.add_argument(
        "--cache-to",
        action="append",
        default=[],
        metavar="type=…",
        help="where the cache goes to: type=inline, with the image, or type=registry,ref=NAME",
    )
    parser.add_argument(
        "--build-context",
        action="append",
        default=[],
        metavar="NAME=WHAT",
        help="what FROM NAME and COPY --from=NAME mean: a folder, docker-image://IMAGE or an address; repeatable",
    )
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="id=ID,…",
        help="what RUN --mount=type=secret,id=ID sees: env=NAME, src=FILE or var=a variable of the notebook; repeatable",
    )
    parser.add_argument(
        "--ssh", action="append", default=[], metavar="default|ID=SOCKET", help="an ssh agent for RUN --mount=type=ssh; repeatable"
    )
    parser.add_argument(
        "-o", "--output", metavar="DEST", help="the result's files in place of an image: a folder, or type=tar,dest=FILE"
    )
    parser.add_argument("--context", metavar="DIR", help="a folder as build context; the cells of %%context lie over it")
    parser.add_argument("--check", action="store_true", help="build nothing: say what can be said against the Dockerfile")
    parser.add_argument("--graph", action="store_true", help="build nothing: draw the stages, and who takes what from whom")
    add_show_command(parser)
    parser.add_argument("--explain", action="store_true", help="say of each step that ran, and was not cached, why")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--var", metavar="NAME", help="the notebook variable that the image is bound to; what --graph or --check shows, too"
    )
    return {"": parser}


def magic(session: Session, line: str, cell: str | None) -> Image | Findings | StageGraph | Command | None:
    """Builds, shows the build while it runs, and returns the image, if one is made. With --check, what can be said of the Dockerfile.

    With --graph, its stages; with --show-command, the command line.
    """
    try:
        given = words(line, session.namespace)
        arguments = parsers()[""].parse_args(given)
    except HelpShown:
        return None
    if arguments.var is not None and not arguments.var.isidentifier():
        raise UsageError(
            f"--var '{arguments.var}' is not a name that a variable can have", hint="Letters, digits and _, as in --var image."
        )
    dockerfile, directory = _source(arguments, cell)
    if arguments.check and arguments.graph:
        raise UsageError("--check and --graph cannot be given together", hint="Each shows something else: take a cell for each.")
    if arguments.show_command:
        return _command(session, arguments, given, dockerfile, directory, is_cell=cell is not None)
    name, before = _name(arguments), session.growths.get(_name(arguments), Growth())
    growth = _grown(session, arguments, name, cell)
    try:
        return _shown(session, arguments, growth.text if growth else dockerfile, directory, is_cell=cell is not None)
    except BaseException as error:
        if growth:
            session.growths[name] = growth.undone(before)
            if isinstance(error, (BuildError, DockerfileError)):
                _place(error, growth)
        raise


def _name(arguments: Namespace) -> str:
    """Which Dockerfile a cell goes on with: the image's name."""
    return reference.parse(arguments.tag[0]).familiar if arguments.tag else ""


def _grown(session: Session, arguments: Namespace, name: str, cell: str | None) -> Growth | None:
    """The Dockerfile with this cell, where it grows. Of one that does not, --append may go on with it."""
    if arguments.append and cell is None:
        raise UsageError("--append is for a cell: %%dockerfile --append -t NAME", hint="A file on disk is built as it is.")
    if arguments.append and not name:
        raise UsageError(
            "--append needs -t NAME", hint="The name says which Dockerfile the cell goes on with, as in --append -t app."
        )
    if cell is None or not name:
        return None
    growth = (session.growths.get(name, Growth()) if arguments.append else Growth()).grown(session.cell, cell)
    session.grow(name, growth)
    return growth if arguments.append else None


def _place(error: BuildError | DockerfileError, growth: Growth) -> None:
    """Says of the line that is at fault where a reader finds it: `line 7 (line 2 of this cell)`."""
    start = f"line {error.line}"
    if error.line and error.message.startswith(start) and (where := growth.place(error.line)):
        error.reword(f"{start} ({where}){error.message.removeprefix(start)}")


def _command(
    session: Session, arguments: Namespace, given: list[str], dockerfile: str | Path, directory: str | None, *, is_cell: bool
) -> Command:
    """`docker build`, where a cell is the Dockerfile from standard input; with files of %%context, from a folder with all of it."""
    flags = read("dockerfile", "", given)
    if not is_cell:
        return project_commands.build(flags, dockerfile=arguments.file or "", context=directory or ".")
    text = str(dockerfile)
    if arguments.append:
        text = session.growths.get(_name(arguments), Growth()).grown(session.cell, text).text
    if not session.files:
        return project_commands.build(flags, context=directory or "", body=text)
    made = project_commands.build(flags)
    note = f"In a folder with the Dockerfile and the files of %%context: {', '.join(sorted(session.files))}."
    return replace(made, notes=(note, "`dockerlab export NOTEBOOK DIR` writes that folder.", *made.notes))


def _shown(
    session: Session, arguments: Namespace, dockerfile: str | Path, directory: str | None, *, is_cell: bool
) -> Image | Findings | StageGraph | None:
    """Builds, or with --check and --graph looks at what is not built."""
    if arguments.graph or arguments.check:
        seen = _seen(session, arguments, dockerfile, directory, is_cell=is_cell)
        if arguments.var:
            session.namespace[arguments.var] = seen
        return seen
    try:
        image, record = _built(session, arguments, dockerfile, directory, is_cell=is_cell)
    except (BuildError, DockerfileError) as error:
        session.failed = error
        if arguments.explain and isinstance(error, BuildError) and isinstance(error.build, Build):
            _explain(session, error.build)
        raise
    if arguments.explain and record:
        _explain(session, record)
    if arguments.var and image:
        session.namespace[arguments.var] = image
    return image


def _seen(
    session: Session, arguments: Namespace, dockerfile: str | Path, directory: str | None, *, is_cell: bool
) -> Findings | StageGraph:
    """What is to be seen of a Dockerfile that is not built."""
    if arguments.graph:
        return stages(dockerfile, target=arguments.target, build_arg=arguments.build_arg, build_contexts=arguments.build_context)
    return check(dockerfile, context=directory, files=session.files if is_cell else None, build_arg=arguments.build_arg)


def _built(
    session: Session, arguments: Namespace, dockerfile: str | Path, directory: str | None, *, is_cell: bool
) -> tuple[Image | None, Build | None]:
    """The image, if one is made, and the record of the build."""
    with LiveDisplay(session) as live:
        options: dict[str, Any] = {
            "context": directory,
            "files": session.files if is_cell else None,
            "tag": arguments.tag,
            "build_arg": arguments.build_arg,
            "target": arguments.target,
            "no_cache": arguments.no_cache,
            "no_cache_filter": arguments.no_cache_filter,
            "pull": arguments.pull,
            "platform": arguments.platform,
            "label": arguments.label,
            "cache_from": arguments.cache_from,
            "cache_to": arguments.cache_to,
            "build_contexts": arguments.build_context,
            "secret": Secrets.of(arguments.secret, session.namespace),
            "ssh": arguments.ssh,
            "progress": None if arguments.quiet else LiveBuild(live).show,
            "client": session.client,
        }
        if arguments.output:
            return None, export(dockerfile, arguments.output, **options)
        image = build(dockerfile, **options)
        assert image.build is not None, "an image that was built has its record"
        session.remember(image.build)
        if not arguments.quiet:
            # The build is done, whatever becomes of its picture: without it the record is shown.
            with suppress(DockerlabError):
                live.show(_Built(image.build, pipeline(image, client=session.client)))
    return image, image.build


class _Built(Shown):
    """A build that is done, as the picture of its image; its text is the build's, the same on every run and engine."""

    def __init__(self, build: Build, picture: Pipeline) -> None:
        self._build, self._picture = build, picture

    def _text(self) -> str:
        return repr(self._build)

    def _table(self) -> str:
        return str(self._build)

    def _html(self) -> str:
        return self._picture._repr_html_()


def _explain(session: Session, record: Build) -> None:
    with LiveDisplay(session) as shown:
        shown.show(record.explanation)


def _source(arguments: Namespace, cell: str | None) -> tuple[str | Path, str | None]:
    """The Dockerfile, as text or as a path, and the folder of its context."""
    if cell is not None:
        if arguments.file:
            raise UsageError(
                "%%dockerfile takes the cell, not -f", hint=f"For a file: %dockerfile -f {arguments.file} [DIR], on one line."
            )
        if arguments.directory:
            raise UsageError(
                f"%%dockerfile takes no argument '{arguments.directory}'",
                hint=f"A folder as build context: --context {arguments.directory}",
            )
        return cell, arguments.context
    directory = arguments.directory or arguments.context or "."
    return Path(arguments.file) if arguments.file else Path(directory) / "Dockerfile", directory
