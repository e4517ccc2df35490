"""dockerlab's own rules: what no engine says, and what teaches how images are built. Each has one clear reason.

    for finding in own(program, plan): …

plan: with all stages. A RUN is read as text: what a script of the image's does nobody knows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

from dockerlab import reference
from dockerlab.dockerfile.checks.finding import Finding, Rule
from dockerlab.dockerfile.checks.form import lines
from dockerlab.dockerfile.commands import Add, Command, Copy, Run
from dockerlab.dockerfile.planning import Plan, Planned
from dockerlab.dockerfile.program import Program
from dockerlab.errors import InvalidReference

_DOCS: Final = "https://docs.docker.com/build"
_PRACTICES: Final = f"{_DOCS}/building/best-practices"

RULES: Final = {
    rule.name: rule
    for rule in (
        Rule("UnusedStage", "A stage that nothing uses is not built", f"{_DOCS}/building/multi-stage/", "dockerlab", "info"),
        Rule("CacheBustingOrder", "What changes often comes after what takes long", f"{_DOCS}/cache/optimize/", "dockerlab"),
        Rule("AptUpdateAlone", "apt-get update and install belong into one RUN", f"{_PRACTICES}/#apt-get", "dockerlab"),
        Rule("PackageListsLeft", "Package lists stay out of the image", f"{_PRACTICES}/#apt-get", "dockerlab", "info"),
        Rule("BaseNotPinned", "A base image is named with its version", f"{_PRACTICES}/#pin-base-image-versions", "dockerlab"),
        Rule("AddForCopy", "COPY is for files, ADD for archives and addresses", f"{_PRACTICES}/#add-or-copy", "dockerlab", "info"),
        Rule("SecretFileCopied", "Secrets stay out of images", f"{_DOCS}/building/secrets/", "dockerlab"),
    )
}

# A command's own words, up to where the shell begins another one.
_REST: Final = r"(?:[^\S\n]+[^\s;&|]+){0,20}?"
# Commands that bring what a file lists, or what they name; the project's own files are no reason to run them again.
_INSTALL: Final = re.compile(
    rf"""(?<![\w/.-])(?:
        (?:python[\d.]*\s+-m\s+)?pip[\d.]*{_REST}\s+install(?!{_REST}\s+(?:-e\s+|--editable[\s=]+)?\.{{1,2}}(?:[/\[\s;&|]|\Z))
        | (?:npm\s+(?:ci|i|install) | yarn\s+install | pnpm\s+(?:i|install))(?=[\s;&|]|\Z)
        | bundle\s+install | composer\s+install | go\s+mod\s+download | cargo\s+fetch | mvn{_REST}\s+dependency:[\w-]+
        | (?:poetry|uv\s+pip|pipenv)\s+install\s+(?:--no-root|-r) | uv\s+sync{_REST}\s+--no-install-project
        | apt(?:-get)?{_REST}\s+install | apk{_REST}\s+add | (?:dnf|yum|microdnf){_REST}\s+install
    )""",
    re.VERBOSE,
)
_MANIFEST: Final = re.compile(r"(?:-r|--requirement)[\s=]+([^\s;&|]+)")
_MANIFESTS: Final = {
    "npm": "package.json and package-lock.json",
    "yarn": "package.json and yarn.lock",
    "pnpm": "package.json and pnpm-lock.yaml",
    "bundle": "Gemfile and Gemfile.lock",
    "composer": "composer.json and composer.lock",
    "go": "go.mod and go.sum",
    "cargo": "Cargo.toml and Cargo.lock",
    "mvn": "pom.xml",
    "poetry": "pyproject.toml and poetry.lock",
    "pipenv": "Pipfile and Pipfile.lock",
    "uv": "pyproject.toml and uv.lock",
}
_APT_UPDATE: Final = re.compile(rf"(?<![\w/.-])apt(?:-get)?{_REST}\s+update\b")
_APT_USE: Final = re.compile(rf"(?<![\w/.-])(?:apt(?:-get)?{_REST}\s+(?:install|\S*upgrade|build-dep)|aptitude|apt-cache)\b")
_APT_INSTALL: Final = re.compile(rf"(?<![\w/.-])apt(?:-get)?{_REST}\s+install\b")
_LISTS: Final = "/var/lib/apt/lists"
_EVERYTHING: Final = (".", "./", "/", "*", "./*")
_ARCHIVE: Final = re.compile(r"\.(?:tar(?:\.\w+)?|t?gz|tgz|tbz2?|txz|tzst|bz2|xz|zst)$|[*?\[$]")
_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")
_SECRETS: Final = re.compile(
    r"\.env(?:\.(?!example$|sample$|template$|dist$)[\w-]+)?|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]+\.(?:pem|p12|pfx|jks|keystore|key)"
    r"|\.(?:netrc|pgpass|pypirc|npmrc|git-credentials|htpasswd)|credentials(?:\.json)?|service[-_]account[\w-]*\.json"
    r"|\.(?:ssh|aws|gnupg|kube)",
    re.IGNORECASE,
)
_PUBLIC: Final = re.compile(r"(?:^|[._-])(?:pub|public|ca|cert|chain|fullchain|bundle|root)(?:[._-]|$)", re.IGNORECASE)


def own(program: Program, plan: Plan) -> Iterator[Finding]:
    """See above."""
    yield from _unused(program, plan)
    for planned in plan.stages:
        yield from _base(planned)
        yield from _order(planned)
        for command in planned.stage.commands:
            yield from _of(command)


def _unused(program: Program, plan: Plan) -> Iterator[Finding]:
    used, waiting, by_index = set[int](), [len(program.stages) - 1], plan.by_index()
    while waiting:
        index = waiting.pop()
        if index not in used:
            used.add(index)
            waiting += by_index[index].needs
    for stage in program.stages:
        if stage.index not in used:
            target = f": it is built with --target {stage.name} alone" if stage.name else ", and it has no name to build it by"
            text = f"No FROM, COPY --from or mount that the last stage needs uses this stage{target}"
            yield RULES["UnusedStage"].finding(text, lines(stage.source.node))


def _base(planned: Planned) -> Iterator[Finding]:
    if planned.base_stage is not None or planned.is_scratch:
        return
    try:
        found = reference.parse(planned.base)
    except InvalidReference:
        return
    if found.digest or found.tag not in (None, "latest"):
        return
    what = "names the tag latest" if planned.base.endswith(":latest") else "names no tag, which means latest"
    text = f"FROM {planned.base} {what}: what it is differs from one day to the next"
    yield RULES["BaseNotPinned"].finding(text, lines(planned.stage.source.node))


def _order(planned: Planned) -> Iterator[Finding]:
    """A COPY of everything before installations that may stand before it."""
    everything: Command | None = None
    after = list[tuple[Run, str, str]]()
    for command in planned.stage.commands:
        if isinstance(command, Copy | Add) and everything is None and _takes_everything(command):
            everything = command
        if everything and isinstance(command, Run) and (match := _INSTALL.search(_text(command))):
            said = " ".join(match[0].split())
            after.append((command, said, _manifest(_text(command)[match.start() :], said)))
    if not (everything and after):
        return
    runs = " and ".join(dict.fromkeys(f"'{said}' (line {command.node.line})" for command, said, _ in after))
    manifests = " and ".join(dict.fromkeys(manifest for *_, manifest in after if manifest))
    text = (
        f"{runs} after {everything.node.keyword} of everything {'runs' if len(after) == 1 else 'run'} again whenever any file changes: "
        f"move this line below line {after[-1][0].node.end_line}"
        + (f", and copy {manifests} alone before that" if manifests else "")
    )
    yield RULES["CacheBustingOrder"].finding(text, lines(everything.node))


def _takes_everything(command: Copy | Add) -> bool:
    return any(source in _EVERYTHING for source in command.sources) and not (isinstance(command, Copy) and command.from_)


def _manifest(rest: str, said: str) -> str:
    """The files that an installation reads, "" where it names what it brings."""
    if match := _MANIFEST.search(rest.split("&&")[0]):
        return match[1]
    return _MANIFESTS.get(said.split()[0], "")


def _of(command: Command) -> Iterator[Finding]:
    match command:
        case Run():
            yield from _run(command)
        case Add(sources=sources) if sources and not (command.inline or command.checksum or command.keep_git_dir or command.unpack):
            if not any(_ARCHIVE.search(source) or _REMOTE.match(source) for source in sources):
                text = (
                    f"ADD takes {', '.join(sources)} as COPY does: say COPY, which neither unpacks archives nor fetches addresses"
                )
                yield RULES["AddForCopy"].finding(text, lines(command.node))
    if isinstance(command, Copy | Add) and not (isinstance(command, Copy) and command.from_):
        for source in command.sources:
            name = posixpath.basename(source.rstrip("/"))
            if _SECRETS.fullmatch(name) and not _PUBLIC.search(name.partition(".")[0]):
                text = (
                    f"{source} looks like a secret, and whoever has the image can read it, even if a later step removes it: "
                    "RUN --mount=type=secret lends it to one step"
                )
                yield RULES["SecretFileCopied"].finding(text, lines(command.node))


def _run(command: Run) -> Iterator[Finding]:
    text = _text(command)
    updates = _APT_UPDATE.search(text)
    if updates and not _APT_USE.search(text):
        said = (
            "apt-get update alone is kept in the cache: a later RUN installs from lists that are old by then. Put it before the "
            "apt-get install, in one RUN"
        )
        yield RULES["AptUpdateAlone"].finding(said, lines(command.node))
    if (
        updates
        and _APT_INSTALL.search(text)
        and _LISTS not in text
        and not any(_holds_lists(mount.target) for mount in command.mounts)
    ):
        said = f"apt-get update leaves its lists in this layer: end the RUN with && rm -rf {_LISTS}/*"
        yield RULES["PackageListsLeft"].finding(said, lines(command.node))


def _holds_lists(target: str) -> bool:
    return target.rstrip("/") in (_LISTS, "/var/lib/apt", "/var/lib")


def _text(command: Run) -> str:
    """What is run, heredocs included."""
    return "\n".join([" ".join(command.line.words), *(heredoc.content for heredoc in command.line.heredocs)])
