"""Variables in commands, replaced where the reference allows it: BuildKit's SupportsSingleWordExpansion.

    expanded(Copy(…, sources=("$src/*",)), {"src": "app"}, dockerfile) → Copy(…, sources=("app/*",))

- one word each: ARG, ENV, LABEL (names too), STOPSIGNAL, USER, VOLUME, WORKDIR; paths, --chown, --chmod, --exclude of COPY and ADD,
  and --checksum; the values in RUN's --mount
- EXPOSE: a variable may hold several ports
- heredocs of COPY and ADD whose name is not quoted: quotes in them mean nothing, and the escape character is always the backslash

What a shell reads, or reads later (RUN, CMD, ENTRYPOINT, HEALTHCHECK, SHELL, ONBUILD), stays. FROM is expanded by `program`, with the
ARGs before the first stage. Quotes are gone from what is expanded: to do so twice makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from dockerlab.dockerfile import commands as c
from dockerlab.dockerfile import mounts
from dockerlab.dockerfile.parser import Dockerfile
from dockerlab.dockerfile.refusal import Refused, at
from dockerlab.dockerfile.words import Lexer
from dockerlab.errors import DockerfileError

T = TypeVar("T", bound=c.Transfer)

_HEREDOC = Lexer("\\", skip_quotes=True)
_MOST = 1 << 24  # characters that one instruction may grow to


def expanded(
    command: c.Command,
    variables: Mapping[str, str],
    dockerfile: Dockerfile,
    unset: Callable[[frozenset[str]], object] = lambda names: None,
) -> c.Command:
    """The command with its variables replaced. unset: told of the variables of each word that are not set, but for EXPOSE.

    Raises DockerfileError with its place: a form that is none, `${x:?}` of an unset x.
    """
    with at(command.node, dockerfile):
        return _Expansion(Lexer(dockerfile.escape), variables, unset).of(command)


class _Expansion:
    """Of one command."""

    def __init__(self, lexer: Lexer, variables: Mapping[str, str], unset: Callable[[frozenset[str]], object]) -> None:
        self._lexer, self._variables, self._unset = lexer, variables, unset
        self._size = 0

    def of(self, command: c.Command) -> c.Command:
        match command:
            case c.Arg(pairs=pairs):
                return replace(command, pairs=tuple((name, None if value is None else self.word(value)) for name, value in pairs))
            case c.Env(pairs=pairs) | c.Label(pairs=pairs):
                return replace(command, pairs=tuple((self.word(name), self.word(value)) for name, value in pairs))
            case c.Workdir(path=path):
                return replace(command, path=self.word(path))
            case c.User(user=user):
                return replace(command, user=self.word(user))
            case c.StopSignal(signal=signal):
                return replace(command, signal=self.word(signal))
            case c.Volume(paths=paths):
                return replace(command, paths=self._words(paths))
            case c.Expose(ports=ports):
                return replace(command, ports=tuple(port for text in ports for port in self._several(text)))
            case c.Run(mount_texts=texts) if texts:
                return replace(command, mounts=tuple(mounts.parse(text, self.word) for text in texts))
            case c.Add():
                return replace(self._transfer(command), checksum=self.word(command.checksum))
            case c.Transfer():
                return self._transfer(command)
        return command

    def _transfer(self, command: T) -> T:
        inline = tuple(
            replace(heredoc, content=self._expand(_HEREDOC, heredoc.content)) if heredoc.expand else heredoc
            for heredoc in command.inline
        )
        return replace(
            command,
            sources=self._words(command.sources),
            target=self.word(command.target),
            inline=inline,
            chown=self.word(command.chown),
            chmod=self.word(command.chmod),
            exclude=self._words(command.exclude),
        )

    def word(self, text: str) -> str:
        return self._expand(self._lexer, text)

    def _words(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(self.word, texts))

    def _several(self, text: str) -> tuple[str, ...]:
        try:
            return self._lexer.words(text, self._variables)
        except DockerfileError as error:
            raise Refused(error.message, at=text) from None

    def _expand(self, lexer: Lexer, text: str) -> str:
        try:
            found = lexer.expand(text, self._variables)
        except DockerfileError as error:
            raise Refused(error.message, at=text.partition("\n")[0]) from None
        if found.unmatched:
            self._unset(found.unmatched)
        result = found.text
        self._size += len(result) - len(text)
        if self._size > _MOST:
            raise Refused(f"variables make this instruction longer than {_MOST} characters")
        return result
