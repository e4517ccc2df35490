"""The one error tree, and how its errors show."""

from __future__ import annotations

import inspect
import traceback

from dockerlab import errors
from dockerlab.errors import BuildError, DockerlabError


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = {line.split("──")[1].split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line} | {"DockerlabError"}
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, DockerlabError)}
    assert drawn == defined


def test_a_message_has_place_evidence_and_next_step() -> None:
    error = BuildError("line 2: it broke", line=2, place=["2 | RUN x", "    ^"], evidence=["boom"], hint="Mend it.")
    assert str(error) == "line 2: it broke"
    assert error.lines() == ["line 2: it broke", "  2 | RUN x", "      ^", "", "  boom", "", "→ Mend it."]


def test_in_ipython_there_is_no_traceback_and_in_plain_python_the_whole_message_follows_it() -> None:
    error = BuildError("it broke", hint="Mend it.")
    assert error._render_traceback_() == ["\x1b[1;31mBuildError\x1b[0m: \x1b[1mit broke\x1b[0m", "", "→ Mend it."]
    assert "→ Mend it." in "".join(traceback.format_exception(error))


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    error = DockerlabError("a\x1b[2Jb", evidence=["\x07\r"], hint="\x9b")
    assert "".join(error.lines()).isprintable() is True
    assert str(error) == "a\\x1b[2Jb"


def test_passwords_in_addresses_are_hidden_and_a_digest_is_none() -> None:
    error = DockerlabError("cannot reach tcp://user:canary@host:1", hint="Is docker-image://alpine:3.20@sha256:0123 there?")
    assert error.lines() == ["cannot reach tcp://user:***@host:1", "", "→ Is docker-image://alpine:3.20@sha256:0123 there?"]
