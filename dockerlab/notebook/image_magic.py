"""`%image`: the verbs on images, with docker's flags."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from dockerlab import images, standins
from dockerlab.errors import UsageError
from dockerlab.image.files import CHANGES
from dockerlab.image.kubernetes import SERVICE_TYPES
from dockerlab.images import archiving, exploring
from dockerlab.notebook import registry_magic
from dockerlab.notebook.arguments import HelpShown, Parser, add_show_command, parse_verb
from dockerlab.notebook.expand import words
from dockerlab.notebook.live import LiveDisplay
from dockerlab.project.commands import command

if TYPE_CHECKING:
    from dockerlab.client import Client
    from dockerlab.faces.shown import Shown
    from dockerlab.images import Exploration
    from dockerlab.notebook.session import Session


def parsers() -> dict[str, Parser]:
    """A parser for each verb; completion reads them too."""
    ls = Parser("%image ls", "Lists the images, the newest first.")
    ls.add_argument("name", nargs="?", metavar="IMAGE", help="only those of this name; * stands for any characters")
    ls.add_argument("-a", "--all", action="store_true", help="also the steps in between that a classic build keeps")
    show = Parser("%image show", "Shows what an image is, its size, and its layers with the instruction that made each.")
    show.add_argument("image", metavar="IMAGE")
    inspect = Parser("%image inspect", "Shows all that the engine says of an image.")
    inspect.add_argument("image", metavar="IMAGE")
    history = Parser("%image history", "Lists the lines of an image's history, the newest first.")
    history.add_argument("image", metavar="IMAGE")
    graph = Parser("%image graph", "Draws the layers of images as one graph: what they share is there once, the base below.")
    graph.add_argument("images", nargs="*", metavar="IMAGE", help="these, and the base images that they are built on; else all")
    explore = Parser("%image explore", "Shows the files of an image's layers, what each changed, and what is wasted.")
    explore.add_argument("image", metavar="IMAGE|FILE", help="an image, or the file that `docker save` wrote")
    explore.add_argument("--layer", type=int, metavar="N", help="the tree up to this layer, and what it changed; 1 is the base")
    explore.add_argument("--changed", action="append", choices=CHANGES[:3], default=[], help="only what the layer changed so")
    explore.add_argument("--find", metavar="PATTERN", help="only names and paths that fit")
    explore.add_argument("--depth", type=int, metavar="N", help="so many levels of directories")
    explore.add_argument("--live", action="store_true", help="in the page: choose layers, search and unfold, asked of the kernel")
    explore.add_argument("--image", dest="within", metavar="NAME", help="which image of an archive that holds several")
    diff = Parser("%image diff", "Shows what differs from one image to another: files, sizes, configuration.")
    diff.add_argument("image", metavar="IMAGE|FILE", help="an image, or the file that `docker save` wrote")
    diff.add_argument("other", metavar="IMAGE|FILE")
    tag = Parser("%image tag", "Gives an image one more name.")
    tag.add_argument("image", metavar="IMAGE")
    tag.add_argument("target", metavar="NAME", help="name:tag; without a tag, latest")
    rm = Parser("%image rm", "Takes names away; an image without any left is deleted.")
    rm.add_argument("images", nargs="+", metavar="IMAGE")
    rm.add_argument("-f", "--force", action="store_true", help="also where a container was made from it")
    prune = Parser("%image prune", "Deletes the images without a name that no container uses.")
    prune.add_argument("-a", "--all", action="store_true", help="also those with a name")
    pull = Parser("%image pull", "Fetches an image from its registry.")
    pull.add_argument("image", metavar="IMAGE")
    pull.add_argument("--platform", metavar="OS/ARCH", help="such as linux/amd64")
    pull.add_argument("-q", "--quiet", action="store_true", help="show no progress")
    save = Parser("%image save", "Writes images into one file, which `docker load` reads, too.")
    save.add_argument("file", metavar="FILE", help="such as app.tar, app.tar.gz or app.tar.zst; one that is there is replaced")
    save.add_argument("images", nargs="+", metavar="IMAGE")
    save.add_argument("--format", choices=archiving.FORMATS, default="docker-archive", help="oci-archive: an OCI layout alone")
    save.add_argument("--compress", choices=archiving.COMPRESSIONS, help="unless given, as the file's name says")
    load = Parser("%image load", "Gives the engine the images of a file: a docker-archive or an OCI layout, compressed or not.")
    load.add_argument("file", metavar="FILE", help="what `%image save`, `docker save`, skopeo or BuildKit wrote")
    copy = Parser("%image copy", "Sends images to another engine, straight from this one.")
    copy.add_argument("images", nargs="+", metavar="IMAGE")
    copy.add_argument("--to", metavar="CONTEXT", help="needed: a docker context, a URL (unix://, tcp://, ssh://), or `embedded`")
    kubernetes = Parser("%image kubernetes", "Writes the Deployment and the Service that run an image on Kubernetes.")
    kubernetes.add_argument("image", metavar="IMAGE")
    kubernetes.add_argument("--replicas", type=int, default=1, metavar="N", help="how many containers; 1 unless given")
    kubernetes.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="PORT",
        help="where the app listens, as 5000 or 53/udp; else what EXPOSE says",
    )
    kubernetes.add_argument("--name", metavar="NAME", help="of the Deployment and the Service; else the image's")
    kubernetes.add_argument(
        "--type", choices=SERVICE_TYPES, default="ClusterIP", help="who reaches the Service; ClusterIP unless given"
    )
    kubernetes.add_argument("-o", "--output", metavar="FILE", help="write it there, too, for `kubectl apply -f FILE`")
    prepare = Parser(
        "%image prepare",
        "Makes base images ready: kept where they are there, else pulled, else made from this machine's files.",
        epilog=f"It knows how to make: {', '.join(standins.NAMES)}.",
    )
    prepare.add_argument("images", nargs="*", metavar="IMAGE", help="all that it knows, unless named")
    looks, moves = (
        (ls, show, inspect, history, graph, explore, diff),
        (tag, rm, prune, pull, *registry_magic.parsers(), save, load, copy, kubernetes, prepare),
    )
    for parser in (*looks, *moves):
        add_show_command(parser)
    return {parser.prog.split()[-1]: parser for parser in (*looks, *moves)}


def magic(session: Session, line: str, cell: str | None = None) -> Shown | None:
    """Does what the verb says and returns what it answers. Without a verb, lists the images."""
    try:
        given = words(line, session.namespace) or ["ls"]
        verb, arguments = parse_verb("%image", given, parsers())
    except HelpShown:
        return None
    if arguments.show_command:
        return command("image", given)
    return _answer(session, verb, arguments)


def _answer(session: Session, verb: str, arguments: Namespace) -> Shown | None:
    if verb == "explore":
        return _explore(session, arguments)
    if verb == "diff":
        return images.diff(arguments.image, arguments.other, client=_client(session, arguments.image, arguments.other))
    if verb in registry_magic.VERBS:
        return registry_magic.answer(session, verb, arguments)
    client = session.client
    match verb:
        case "ls":
            return images.ls(arguments.name, arguments.all, client=client)
        case "show":
            return images.show(arguments.image, client=client)
        case "inspect":
            return images.inspect(arguments.image, client=client)
        case "history":
            return images.history(arguments.image, client=client)
        case "graph":
            return images.graph(arguments.images, client=client)
        case "tag":
            return images.tag(arguments.image, arguments.target, client=client)
        case "rm":
            return images.rm(arguments.images, arguments.force, client=client)
        case "prune":
            return images.prune(arguments.all, client=client)
        case "pull":
            with LiveDisplay(session) as live:
                progress = None if arguments.quiet else live.show
                return images.pull(arguments.image, platform=arguments.platform, progress=progress, client=client)
        case "save":
            with LiveDisplay(session, keep=False) as live:
                how = {"format": arguments.format, "compress": arguments.compress}
                return images.save(arguments.file, arguments.images, progress=live.show, client=client, **how)
        case "kubernetes":
            return images.kubernetes(
                arguments.image,
                replicas=arguments.replicas,
                ports=arguments.port,
                name=arguments.name,
                service_type=arguments.type,
                file=arguments.output,
                client=client,
            )
        case "load":
            with LiveDisplay(session, keep=False) as live:
                return images.load(arguments.file, progress=live.show, client=client)
        case "copy":
            if not arguments.to:
                raise UsageError(
                    "%image copy needs --to", hint="`%image copy IMAGE --to CONTEXT`; `%engine ls` lists what there is."
                )
            with LiveDisplay(session, keep=False) as live:
                return images.copy(arguments.images, arguments.to, progress=live.show, client=client)
        case _:
            with LiveDisplay(session, keep=False) as live:
                return standins.prepare(*arguments.images, progress=live.show, client=client)


def _explore(session: Session, asked: Namespace) -> Shown | None:
    if asked.live and asked.depth is not None:
        raise UsageError("--depth has no use for --live", hint="Directories unfold there with a click.")
    explored = _explored(session, asked)
    if asked.live and session.is_in_page:
        from dockerlab.notebook.live_explorer import LiveExplorer

        LiveExplorer(session, explored, layer=asked.layer, changed=asked.changed, find=asked.find)
        return None
    if asked.layer is None and not asked.changed and asked.find is None and asked.depth is None:
        return explored
    return explored.view(asked.layer, asked.changed, asked.find, asked.depth)


def _explored(session: Session, asked: Namespace) -> Exploration:
    """Of an image that a cell built, with the lines of its Dockerfile."""
    if exploring.archive_path(asked.image) is not None:
        return images.explore(asked.image, image=asked.within)
    image = images.get(asked.image, client=session.client)
    image.build = session.built.get(str(image.id))
    return exploring.explored(image, session.client)


def _client(session: Session, *sources: str) -> Client | None:
    """The session's engine, unless only files are asked for: they need none."""
    return None if all(exploring.archive_path(source) for source in sources) else session.client
