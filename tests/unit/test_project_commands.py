"""The `docker` command line of a magic: what is printed, and that the table of flags is that of the magics' parsers."""

from __future__ import annotations

import argparse
from importlib import import_module

import pytest
from IPython.core.interactiveshell import InteractiveShell

from dockerlab.errors import UsageError
from dockerlab.notebook.arguments import Parser
from dockerlab.notebook.session import Session
from dockerlab.project.command import Command
from dockerlab.project.commands import command
from dockerlab.project.flags import VALUED, read

MAGICS = ("dockerfile", "context", "container", "image", "pipeline", "engine", "network", "volume", "compose", "swarm", "service")
PARSERS: dict[tuple[str, str], Parser] = {
    (magic, verb): parser
    for magic in MAGICS
    for verb, parser in import_module(f"dockerlab.notebook.{magic}_magic").parsers().items()
}


@pytest.mark.parametrize("key", PARSERS, ids=" ".join)
def test_the_table_has_each_flag_that_takes_a_word(key: tuple[str, str]) -> None:
    parser = PARSERS[key]
    valued = {flag for flag, action in parser._option_string_actions.items() if action.nargs is None}
    assert VALUED.get(key, frozenset()) == valued


def test_the_table_has_no_verb_that_there_is_not() -> None:
    assert VALUED.keys() <= PARSERS.keys()


def test_a_line_is_read_as_the_parsers_read_it() -> None:
    words = ["-dp", "80", "--rm", "--name=web", "-e", "-x", "--wait=5", "busybox", "ls", "-l", "--name", "x"]
    found, parsed = read("container", "run", words), PARSERS["container", "run"].parse_args(words)
    assert (found.value("--name"), found.value("--wait"), found.values("-p"), found.values("-e")) == ("web", "5", ["80"], ["-x"])
    assert (parsed.name, parsed.wait, parsed.publish, parsed.env) == ("web", "5", ["80"], ["-x"])
    assert found.arguments == (parsed.image, *parsed.command)
    assert read("container", "run", found.words) == read("container", "run", words)


@pytest.mark.parametrize("key", [key for key in PARSERS if key[0] != "context"], ids=" ".join)
def test_every_verb_shows_its_command_and_its_help_says_so(key: tuple[str, str]) -> None:
    magic, verb = key
    parser = PARSERS[key]
    assert "--show-command" in parser.format_help()
    needed = [a for a in parser.arguments if a.nargs in (None, "+")]
    words = ["--show-command", *(["x"] * len(needed))]
    if any(a.nargs == argparse.REMAINDER for a in parser.arguments):
        words.append("true")
    line = " ".join([verb, *words])
    cell = "FROM busybox\n" if magic == "dockerfile" else None
    shown = import_module(f"dockerlab.notebook.{magic}_magic").magic(Session(InteractiveShell()), line, cell)
    assert isinstance(shown, Command)
    assert shown.lines
    assert all(text.startswith(("docker ", "export ", "kubectl ")) for text in shown.lines[:1])
    assert shown.is_same or shown.notes
    assert "--show-command" not in shown.line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("container run -p 5000 app", "docker run -p 127.0.0.1::5000 app"),
        ("container run -p 8080:80/tcp app", "docker run -p 127.0.0.1:8080:80/tcp app"),
        ("container run -p 0.0.0.0:8080:80 app", "docker run -p 0.0.0.0:8080:80 app"),
        ("container run -p [::1]:8080:80 app", "docker run -p '[::1]:8080:80' app"),
        ("container run -dp 8000-8002:80 app", "docker run -d -p 127.0.0.1:8000-8002:80 app"),
        ("container run -e 'A=b c' app sh -c 'exit 3'", "docker run -e 'A=b c' app sh -c 'exit 3'"),
        ("container run -e DB_PASSWORD=x app --token y", "docker run -e 'DB_PASSWORD=***' app --token '***'"),
        ("container run --replace --name web app", "docker rm -f web\ndocker run --name web app"),
        ("container stop --timeout 3 web", "docker stop -t 3 web"),
        ("container logs -n 3 --since=10m web", "docker logs -n 3 --since 10m web"),
        ("container prune", "docker container prune -f"),
        ("swarm init --advertise-addr 10.0.0.1", "docker swarm init --advertise-addr 10.0.0.1"),
        ("swarm join --token SWMTKN-1-x 10.0.0.1", "docker swarm join --token '***' 10.0.0.1"),
        (
            "swarm join --var token 10.0.0.1",
            "docker swarm join --token '***' 10.0.0.1",
        ),
        ("swarm nodes", "docker node ls"),
        ("swarm drain a b", "docker node update --availability drain a\ndocker node update --availability drain b"),
        ("swarm secret create -l a=b db --file f", "docker secret create -l a=b db f"),
        (
            "swarm secret create db --var password",
            "docker secret create db -",
        ),
        (
            "service create --name web --replicas 3 -p mode=host,target=5000 --secret db -e API_TOKEN=x app sh --password y",
            "docker service create --name web --replicas 3 -p mode=host,target=5000 --secret db -e 'API_TOKEN=***' app sh --password '***'",
        ),
        (
            "service update --image app:2 --secret-add db --secret-rm old web",
            "docker service update --image app:2 --secret-add db --secret-rm old web",
        ),
        ("service scale web=6", "docker service scale web=6"),
        ("container prune -f", "docker container prune -f"),
        ("container stats", "docker stats --no-stream"),
        ("container top web aux", "docker top web aux"),
        ("image rm -f a b", "docker image rm -f a b"),
        ("image prune -a", "docker image prune -f -a"),
        ("image pull --platform=linux/amd64 a", "docker pull --platform linux/amd64 a"),
        ("image ls", "docker image ls"),
        ("image push -q me/app", "docker push -q me/app"),
        ("image push -a me/app", "docker push -a me/app"),
        ("image login -u me r.test --tls-verify=false", "docker login -u me r.test"),
        ("image login r.test -u me --password-var PW", "docker login -u me r.test --password-stdin"),
        ("image login -u me -p secret r.test", "docker login -u me r.test"),
        ("image login --password=secret", "docker login"),
        ("image logout r.test", "docker logout r.test"),
        ("image remote r.test/app:1 --platform linux/arm64", "docker manifest inspect r.test/app:1"),
        ("image save a.tar x y", "docker save -o a.tar x y"),
        ("image load a.tar", "docker load -i a.tar"),
        ("network create net", "docker network create net"),
        ("volume rm -f data", "docker volume rm -f data"),
        ("engine use tcp://me:secret@host:1", "export DOCKER_HOST='tcp://me:***@host:1'"),
    ],
)
def test_lines(line: str, shown: str) -> None:
    import shlex

    magic, *words = shlex.split(line)
    assert command(magic, words).line == shown


def test_a_cell_is_a_here_document() -> None:
    assert command("container", ["run", "--rm", "app"], "ls\nEOF\n").lines == (
        "docker run -i --rm app sh <<'EOF_'",
        "ls",
        "EOF",
        "EOF_",
    )
    assert command("container", ["exec", "-i", "web", "cat"], "x\n").lines[0] == "docker exec -i web cat <<'EOF'"


def test_its_page_escapes_what_it_shows() -> None:
    page = command("container", ["run", "--wait", "<b>"], "<i>\n")._repr_html_()
    assert "&lt;b&gt;" in page
    assert "&lt;i&gt;" in page
    assert "<code>docker ps</code>" in page


def dockerfile(line: str, session: Session, cell: str | None = "FROM busybox\n") -> str:
    from dockerlab.notebook.dockerfile_magic import magic

    return repr(magic(session, f"--show-command {line}", cell))


def test_a_dockerfile_without_files_comes_from_standard_input() -> None:
    session = Session(InteractiveShell())
    assert dockerfile("-t app --build-arg A=1 --explain --var x", session) == (
        "docker build -t app --build-arg A=1 - <<'EOF'\nFROM busybox\nEOF\n"
        "# docker does not say why a step ran; `--progress plain` says which were CACHED."
    )
    assert dockerfile("--context src", session) == "docker build -f - src <<'EOF'\nFROM busybox\nEOF"
    assert dockerfile("-t app -f src/My.Dockerfile src", session, None) == "docker build -t app -f src/My.Dockerfile src"


def test_a_dockerfile_with_files_says_where_they_are_to_be() -> None:
    session = Session(InteractiveShell())
    session.files = {"app.py": b""}
    assert dockerfile("-t app --secret id=a,var=token", session) == (
        "docker build -t app --secret id=a,env=token .\n"
        "# In a folder with the Dockerfile and the files of %%context: app.py.\n"
        "# `dockerlab export NOTEBOOK DIR` writes that folder.\n"
        "# The secret is in the notebook's variable token: put it into an environment variable of that name."
    )


def test_a_verb_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="unknown verb frob"):
        command("container", ["frob"])


def test_a_secret_of_a_variable_says_where_it_is() -> None:
    assert command("swarm", ["secret", "create", "db", "--var", "password"]).notes == (
        "It is read from the input: the secret is in the notebook's variable password.",
    )
    assert command("swarm", ["join", "--var", "token", "h"]).notes == ("The token is in the notebook's variable token.",)
