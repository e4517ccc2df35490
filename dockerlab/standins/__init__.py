"""Base images made from this machine's own files, for where no registry answers.

    prepare("busybox", "python:3.10")     present → kept; else pulled; else a stand-in is made and loaded
    archive("busybox")                    the stand-in as a docker-archive, byte-identical whenever it is made on one machine

A stand-in is made by `prepare` alone, never by a pull or a FROM. It says what it is: its labels `dockerlab.stand-in` (true),
`dockerlab.stand-in.for` and `dockerlab.stand-in.holds`, and its /etc/os-release. It is loaded through the Engine API, so that any
engine takes it.

- `tree`, `archives`: files → layer → docker-archive
- `machine`, `libraries`, `packages`: what it is made of
- `busybox`, `python`, `debian`, `registry`: the recipes; `registry_server`: what runs in the last, where there is no better one
- `preparation`: `prepare`
"""

from __future__ import annotations

from dockerlab.standins.preparation import NAMES, Prepared, archive, makeable, prepare

__all__ = ["NAMES", "Prepared", "archive", "makeable", "prepare"]
