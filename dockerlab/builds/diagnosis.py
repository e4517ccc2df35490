"""What an engine said when a build failed → a `BuildError` that a reader can act on. Pure.

The engine judges, our parser explains: it gives the line, the caret and the suggestion. Messages are the same on every engine whose
words are known here (Docker Engine 20.10 and 28, Podman 4.3); the engine's own words stay as evidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockerlab import reference
from dockerlab.builds.cutting import point
from dockerlab.builds.record import Build, Step
from dockerlab.builds.repositories import SOURCE, trouble
from dockerlab.dockerfile import INSTRUCTIONS, Dockerfile, Node, excerpt, nearest, stages
from dockerlab.dockerfile.program import program
from dockerlab.errors import BuildError, DockerfileError, InvalidReference, printable

_TAIL = 12
_LISTED = 10

_PARSE_LINE = re.compile(r"parse error (?:on )?line (\d+): (.*)", re.DOTALL)
_MISSING_FILE = re.compile(
    r"(?:excluded by \.dockerignore: stat (?P<a>.+?): file does not exist|no source files were specified"
    r"|^\"/(?P<d>[^\"]+)\"(?:: | )not found|lstat /?(?P<e>\S+): no such file or directory"
    r"|copier: stat: \[?\"?/?(?P<b>[^\"]+)\"?\]?: no such file|/?(?P<c>[^:\s]+): no such file or directory$)"
)
_NO_IMAGE = re.compile(
    r"pull access denied for (?P<a>\S+?),|manifest for (?P<b>\S+) not found|(?P<c>\S+): not found"
    r"|manifest unknown|requested access to the resource is denied|repository does not exist|no stage or image found with that name"
)
_NO_REGISTRY = re.compile(r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|Client\.Timeout|proxyconnect|x509:")
_NO_STAGE = re.compile(
    r'target stage "?(.+?)"? could not be found|reach build target (\S+) in Dockerfile|The target "(.+?)" was not found'
)
_STEP_PREFIX = re.compile(r'^building at STEP ".*?": ', re.DOTALL)
_MOUNT = re.compile(r"the --(\w+) option requires BuildKit")
_SYNTAX = re.compile(r"resolve image config for (?:docker-image://)?(\S+)")
_DIRECTIVE = re.compile(r"\s*#\s*syntax\s*=\s*(\S+)", re.IGNORECASE)
_ARGUMENT = "build-arg:BUILDKIT_SYNTAX"
# What BuildKit says of a frontend that ends without a word of its own to it.
_NO_FRONTEND = re.compile(r"(?:exit code: \d+|no result for incomplete build)$")
_OTHER_FRONTEND = re.compile(r"dockerlab's engine has one frontend, its own: .*")
_UNKNOWN_FLAG = re.compile(r"unknown flag: --(\w[\w-]*)")
_NO_SECRET = re.compile(r"secret (\S+?)(?: not found|: not found)")
_NO_AGENT = re.compile(r"(?:unset ssh forward key |no SSH key \")([^\s\"]+)")
_LOOP = re.compile(r"too many (?:sym)?links|too many levels of symbolic links")
_BROKEN_RULES = re.compile(r"lint violation found for rules: (.+)")
_UNKNOWN = re.compile(r"unknown instruction: \"?(\w+)", re.IGNORECASE)

# Flags that came late: with which Docker Engine, and which frontend.
_SINCE = {
    "network": ("23.0", "1.3"),
    "security": ("23.0", "1-labs"),
    "link": ("23.0", "1.4"),
    "checksum": ("25.0", "1.6"),
    "keep-git-dir": ("23.0", "1.4"),
    "exclude": ("29.0", "1.19"),
    "parents": ("29.0", "1.20"),
    "mount": ("19.03", "1.2"),
    "chmod": ("20.10", "1.2"),
}
_EXIT_HINTS = {
    126: "126: the program is there but cannot be executed. Is it executable, and made for this platform?",
    127: "127: the shell did not find a program of that name. Is it installed in an earlier line, and spelt right?",
    137: "137: killed, usually for want of memory.",
}
# What BuildKit does for itself.
_OWN = ("load ", "transferring ", "exporting ")
_OWN_HINT = "The engine does it for every build. Build again; if it stays so, the engine's own log says more."
_SILENT_HINT = "Is it the right command? It failed without a word."
_OFFER = "`%container debug` starts a container in the state before this line, to try it by hand."


def refuse_heredocs(dockerfile: Dockerfile) -> None:
    """Raises DockerfileError for a heredoc on a classic builder.

    The one case in which we do not leave the judgement to the engine: Docker's classic builder runs `RUN <<EOF` as an empty command
    and calls it a success.
    """
    node = next((node for node in dockerfile.nodes if node.heredocs), None)
    if node is not None:
        raise _no_heredocs(node, dockerfile, "a heredoc needs BuildKit, and this build runs on the classic builder")


def _no_heredocs(node: Node, dockerfile: Dockerfile, why: str) -> DockerfileError:
    return DockerfileError(
        f"line {node.line}: {why}",
        line=node.line,
        place=excerpt(dockerfile.source, node.line, column=_column(dockerfile, node, "<<")),
        hint="Write the commands into one RUN with && and \\, or put them into a file with %%context and COPY it.",
    )


def diagnose(
    said: str, exit_code: int | None, dockerfile: Dockerfile, build: Build, paths: Iterable[str]
) -> BuildError | DockerfileError:
    """The error for what the engine said. exit_code: of the failing command, or None. paths: the files of the build context."""
    said = printable(_STEP_PREFIX.sub("", said.strip()))
    step = _spoken_of(build, said) or _unreported(build, said)
    # Podman finds an unknown instruction only when it comes to it.
    if step is None or _UNKNOWN.search(said):
        return _before_any_step(said, dockerfile, build)
    if step.line is None:
        if agent := _NO_AGENT.search(said):
            return BuildError(
                f"the engine cannot fetch a repository by ssh without an agent: {step.text}",
                instruction=step.text,
                build=build,
                evidence=(f"the engine says: {said.splitlines()[0]}",),
                hint=_agent_hint(agent[1]),
            )
        if step.text.startswith(SOURCE) and (repository := trouble(said, step.output)):
            what, where = f"a build context: {repository.what}", step.text.removeprefix(SOURCE)
            return BuildError(
                f"{what}: {where}", instruction=step.text, build=build, evidence=repository.evidence, hint=repository.hint
            )
        if syntax := _SYNTAX.fullmatch(step.text):
            what = f"the engine cannot fetch the frontend '{reference.parse(syntax[1]).familiar}'"
            return _frontend(what, "Or give it a registry that it reaches.", dockerfile, build, said)
        return BuildError(
            f"a step that is not in the Dockerfile failed: {step.text}",
            instruction=step.text,
            exit_code=exit_code,
            log="\n".join(step.output),
            build=build,
            evidence=step.output[-_TAIL:] or (f"the engine says: {said.splitlines()[0] if said else 'nothing'}",),
            hint=_OWN_HINT
            if step.text.startswith(_OWN)
            else "It comes from a flag such as --label, or from an ONBUILD of the base image.",
        )
    node = next(node for node in dockerfile.nodes if node.line == step.line)
    evidence = (f"the engine says: {said.splitlines()[0]}" if said else "the engine gave no reason",)
    if exit_code is not None:
        program = "the command" if node.keyword == "RUN" else node.keyword
        usual = (
            "The output above tells what the command did not like; the whole of it is error.log." if step.output else _SILENT_HINT
        )
        hint = _EXIT_HINTS.get(exit_code, usual)
        if node.keyword == "RUN" and point(dockerfile, node.line):
            hint = f"{hint}\n{_OFFER}"
        tail = step.output[-_TAIL:] or ("(it printed nothing)",)
        return _error(
            f"line {step.line}: {program} ended with exit code {exit_code}", node, 0, dockerfile, build, step, tail, hint, exit_code
        )
    if node.keyword in ("COPY", "ADD") and _LOOP.search(said):
        hint = "What it names is a link that leads back to itself, over others or not. COPY follows the links that it names."
        return _error(
            f"line {step.line}: {node.keyword} follows symbolic links in a circle",
            node, 0, dockerfile, build, step, evidence, hint,
        )  # fmt: skip
    if node.keyword in ("COPY", "ADD") and (match := _MISSING_FILE.search(said)):
        missing = next((v for v in match.groupdict().values() if v), "").removeprefix("/") or node.arguments.split()[0]
        column = _column(dockerfile, node, missing)
        return _error(
            f"line {step.line}: {node.keyword} finds no '{missing}'",
            node, column, dockerfile, build, step, evidence, _context_hint(paths, node),
        )  # fmt: skip
    if node.keyword == "ADD" and (repository := trouble(said, step.output)):
        column = _column(dockerfile, node, node.arguments.split()[0])
        text = f"line {step.line}: {repository.what}"
        return _error(text, node, column, dockerfile, build, step, repository.evidence, repository.hint)
    if node.keyword == "ADD" and (url := re.search(r"https?://\S+", node.arguments)) and "--from" not in node.text:
        column = _column(dockerfile, node, url[0])
        hint = "The engine fetches it, not this machine: is the address right, and reachable from there?"
        return _error(f"line {step.line}: ADD cannot fetch '{url[0]}'", node, column, dockerfile, build, step, evidence, hint)
    if node.keyword in ("FROM", "COPY", "ADD") and (_NO_IMAGE.search(said) or _NO_REGISTRY.search(said)):
        return _no_image(said, node, dockerfile, build, step, evidence)
    if match := _NO_SECRET.search(said):
        hint = f"Give it with the build: --secret id={match[1]},env=NAME, or src=FILE, or var=a_variable_of_the_notebook."
        column = _column(dockerfile, node, match[1])
        return _error(f"line {step.line}: there is no secret '{match[1]}'", node, column, dockerfile, build, step, (), hint)
    if match := _NO_AGENT.search(said):
        text = f"line {step.line}: there is no ssh agent '{match[1]}'"
        column = _column(dockerfile, node, match[1] if match[1] in node.text else "ssh")
        return _error(text, node, column, dockerfile, build, step, evidence, _agent_hint(match[1]))
    if match := _MOUNT.search(said):
        hint = "Leave the flag out: this build runs on the engine's classic builder, which does not have it."
        column = _column(dockerfile, node, f"--{match[1]}")
        return _error(f"line {step.line}: --{match[1]} needs BuildKit", node, column, dockerfile, build, step, evidence, hint)
    first = re.sub(r"\b[0-9a-f]{12,64}\b", "…", said.splitlines()[0]) if said else "the engine gave no reason"
    return _error(f"line {step.line}: {first}", node, 0, dockerfile, build, step, step.output[-_TAIL:], None)


def _agent_hint(name: str) -> str:
    return f"Give the build the agent that has the key: `--ssh {name}`. `ssh-add -l` lists its keys."


def _frontend(what: str, otherwise: str, dockerfile: Dockerfile, build: Build, said: str) -> BuildError:
    """What is wrong with the frontend that `# syntax=` names, or an argument. otherwise: what to do that keeps it."""
    own = f"out: the engine's own frontend then reads the Dockerfile. {otherwise}"
    evidence = (f"the engine says: {said.splitlines()[0]}",)
    if _ARGUMENT in said:
        flag = "--build-arg BUILDKIT_SYNTAX"
        return BuildError(f"{flag}: {what}", build=build, evidence=evidence, hint=f"Leave {flag} {own}")
    line = next((n for n, text in enumerate(dockerfile.source, start=1) if _DIRECTIVE.match(text)), 1)
    return BuildError(
        f"line {line}: {what}",
        line=line,
        build=build,
        place=excerpt(dockerfile.source, line),
        evidence=evidence,
        hint=f"Leave the line {own}",
    )


def _wrong_frontend(said: str, dockerfile: Dockerfile, build: Build) -> BuildError | None:
    """The error for a frontend that is there and none, for a name that is none, for an engine that runs no other than its own."""
    if own := _OTHER_FRONTEND.search(said):
        return _frontend(own[0].splitlines()[0], "Or build with Docker Engine, which runs others.", dockerfile, build, said)
    named = dockerfile.directives.get("syntax", "").split()
    if "invalid reference format" in said and named and _ARGUMENT not in said:
        try:
            reference.parse(named[0])
        except InvalidReference:
            what = f"'{named[0]}' cannot be the name of a frontend's image"
            return _frontend(what, "Or name one as BuildKit does: docker/dockerfile:1.", dockerfile, build, said)
    image = next((match[1] for step in build.steps if (match := _SYNTAX.fullmatch(step.text))), None)
    if image is None or not _NO_FRONTEND.search(said.splitlines()[0] if said else ""):
        return None
    what = f"the image '{reference.parse(image).familiar}' is no frontend: it does not read Dockerfiles"
    return _frontend(what, "Or name an image that is one, such as docker/dockerfile:1.", dockerfile, build, said)


def _late(flag: str) -> str | None:
    """What to do about a flag that an engine does not know."""
    if flag not in _SINCE:
        return "Is it spelt right? The engine's frontend does not know it."
    engine, frontend = _SINCE[flag]
    return (
        f"It came with Docker Engine {engine}. An older one can fetch a newer frontend, where it reaches a registry: "
        f"`# syntax=docker/dockerfile:{frontend}` as the first line."
    )


def _spotted(said: str, dockerfile: Dockerfile) -> tuple[Node, str] | None:
    """The only instruction that holds what the engine quotes, or its last word; and that."""
    for part in (*re.findall(r'"([^"]+)"', said), *said.split()[-1:]):
        found = [node for node in dockerfile.nodes if part in node.text]
        if len(found) == 1:
            return found[0], part
    return None


def _told_by_us(dockerfile: Dockerfile) -> DockerfileError | None:
    """What our own reading has against a Dockerfile."""
    try:
        program(dockerfile)
    except DockerfileError as error:
        return error
    return None


def _no_image(said: str, node: Node, dockerfile: Dockerfile, build: Build, step: Step, evidence: tuple[str, ...]) -> BuildError:
    source = next((flag.partition("=")[2] for flag in node.flags if flag.startswith("--from=")), "")
    name = source or node.arguments.split()[0]
    if source:
        hint = f"'{source}' is neither a stage of this Dockerfile nor an image of the engine."
    elif _NO_REGISTRY.search(said):
        hint = "The engine does not have it and reaches no registry. `%image ls` shows what it has; `%image prepare` makes some."
    else:
        hint = "No registry has an image of that name and tag, or it is private. Is it spelt right? `%image ls` shows what the engine has."
    column = _column(dockerfile, node, name)
    return _error(f"line {step.line}: there is no image '{name}'", node, column, dockerfile, build, step, evidence, hint)


def _spoken_of(build: Build, said: str) -> Step | None:
    """The step that failed; of several, which happens where steps run side by side, the one whose failure the engine's words repeat."""
    failed = [step for step in build.steps if step.state == "failed"]
    return next((step for step in failed if printable(step.vertex.error) in said), failed[0] if failed else None)


def _unreported(build: Build, said: str) -> Step | None:
    """The one COPY or ADD that is not done, where a busy builder ends with words about files before it tells which step failed."""
    left = [step for step in build.steps if step.keyword in ("COPY", "ADD") and step.line and step.state in ("waiting", "running")]
    return left[0] if len(left) == 1 and (_LOOP.search(said) or _MISSING_FILE.search(said)) else None


def _before_any_step(said: str, dockerfile: Dockerfile, build: Build) -> BuildError | DockerfileError:
    """The engine refused the Dockerfile as a whole."""
    if broken := _BROKEN_RULES.search(said):
        return _broken_rules(sorted(broken[1].split(", ")), dockerfile, build)
    if wrong := _wrong_frontend(said, dockerfile, build):
        return wrong
    evidence = (f"the engine says: {said.splitlines()[0]}",) if said else ()
    if no_stage := _NO_STAGE.search(said):
        wanted = next(group for group in no_stage.groups() if group)
        names = [stage.name for stage in stages(dockerfile) if stage.name]
        hint = f"Its stages are {', '.join(names)}." if names else "No stage of this Dockerfile has a name: FROM image AS name."
        return BuildError(f"the Dockerfile has no stage '{wanted}'", build=build, evidence=evidence, hint=hint)
    known = [keyword for keyword, _ in INSTRUCTIONS]
    match = _PARSE_LINE.search(said)
    inside = next((n for n in dockerfile.nodes if match and n.heredocs and n.line < int(match[1]) <= n.end_line), None)
    if inside is not None:
        return _no_heredocs(
            inside, dockerfile, "a heredoc needs the BuildKit of Docker Engine 23.0 or later, and this engine's is older"
        )
    node = next((n for n in dockerfile.nodes if n.keyword not in known), None) if not match or _UNKNOWN.search(said) else None
    if node is not None:
        close = nearest(node.keyword, known)
        word = (node.text.split() or ["\\"])[0]  # a lone backslash at the end is an instruction without a name
        hint = f"Did you mean {close}?" if close else f"The instructions are {', '.join(known)}."
        return _error(f"line {node.line}: unknown instruction: {word}", node, 0, dockerfile, build, None, evidence, hint)
    if match:
        line = int(match[1])
        node = next((n for n in dockerfile.nodes if n.line <= line <= n.end_line), None)
        if node is not None:
            said_of_it = match[2].strip().splitlines()[0]
            flag = _UNKNOWN_FLAG.search(said_of_it)
            column = _column(dockerfile, node, f"--{flag[1]}") if flag else 0
            late = _late(flag[1]) if flag else None
            return _error(f"line {node.line}: {said_of_it}", node, column, dockerfile, build, None, (), late)
    if dockerfile.nodes and not any(n.keyword == "FROM" for n in dockerfile.nodes):
        node = dockerfile.nodes[0]
        hint = "A Dockerfile starts from an image: FROM python:3.10, or FROM scratch for an empty one."
        return _error(f"line {node.line}: there is no FROM", node, 0, dockerfile, build, None, evidence, hint)
    if spot := _spotted(said, dockerfile):
        node, part = spot
        return _error(
            f"line {node.line}: {said.splitlines()[0]}", node, _column(dockerfile, node, part), dockerfile, build, None, (), None
        )
    if told := _told_by_us(dockerfile):
        return BuildError(told.message, line=told.line, place=told.place, evidence=evidence, hint=told.hint, build=build)
    return BuildError(
        f"the build failed: {said.splitlines()[0] if said else 'the engine gave no reason'}", build=build, log=build.log
    )


def _broken_rules(rules: list[str], dockerfile: Dockerfile, build: Build) -> BuildError:
    """Warnings that the Dockerfile has made errors."""
    said = [lint for lint in build.warnings if lint.text.partition(":")[0] in rules]
    line = min((lint.lines[0] for lint in said if lint.lines), default=None)
    return BuildError(
        f"the Dockerfile breaks {'rules' if len(rules) > 1 else 'a rule'} that it makes errors: {', '.join(rules)}",
        line=line,
        build=build,
        place=excerpt(dockerfile.source, line) if line else (),
        evidence=tuple(lint.text for lint in said[:_TAIL]),
        hint="`check=error=true` does. To leave a rule out: # check=skip=RULE;error=true",
    )


def _error(
    message: str,
    node: Node,
    column: int,
    dockerfile: Dockerfile,
    build: Build,
    step: Step | None,
    evidence: Iterable[str],
    hint: str | None,
    exit_code: int | None = None,
) -> BuildError:
    return BuildError(
        message,
        line=node.line,
        instruction=" ".join(node.text.split()),
        exit_code=exit_code,
        log="\n".join(step.output) if step else "",
        build=build,
        place=excerpt(dockerfile.source, node.line, node.end_line, column),
        evidence=tuple(evidence),
        hint=hint,
    )


def _column(dockerfile: Dockerfile, node: Node, part: str) -> int:
    """Where `part` begins in the instruction's first line; 0-based, 0 if it is not there."""
    return max(dockerfile.source[node.line - 1].find(part), 0)


def _context_hint(paths: Iterable[str], node: Node) -> str:
    if any(flag.startswith("--from=") for flag in node.flags):
        return "The file is looked for in that stage, image or named context, not in the build context."
    paths = list(paths)
    listed = paths[: _LISTED + 1]
    if not listed:
        return "The build context is empty. `%%context PATH` puts a cell into it; `--context DIR` takes a folder."
    if there := next((word for word in node.arguments.split()[:-1] if word.strip("./") in paths), None):
        return f"'{there}' is there; is it a link to something that is not in the build context? None is followed out of it."
    names = ", ".join(listed[:_LISTED]) + (", …" if len(listed) > _LISTED else "")
    return f"The build context holds: {names}. Is the path right, and does .dockerignore let it pass?"
