"""The pytest plugin: `pytest --nbval --dockerlab notebooks/` checks notebooks that use dockerlab, each cell against what was saved.

pytest finds it in every environment that has dockerlab (entry point `pytest11`). Without one of its options it changes nothing, and
imports nothing but this file; what it does with them is in `dockerlab.testing.session`.
"""

from __future__ import annotations

import pytest

ENGINES = ("embedded", "configured")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dockerlab", "notebooks and tests that use dockerlab")
    group.addoption(
        "--dockerlab",
        action="store_true",
        help="give the tests a container engine of their own, and have nbval compare what is the same on every run; "
        "afterwards nothing is left",
    )
    group.addoption(
        "--dockerlab-engine",
        choices=ENGINES,
        help="embedded (if none is named): dockerlab's own, started for this run with an empty store, and gone afterwards; "
        "configured: the one that `docker` would use, of which just that is removed that this run has made",
    )
    group.addoption(
        "--dockerlab-prepare",
        action="append",
        default=[],
        metavar="NAME",
        help="a base image that is made ready before the first test, as by `%%image prepare NAME`; may be given several times",
    )
    group.addoption(
        "--dockerlab-keep", action="store_true", help="remove nothing afterwards, and leave the engine running, to look into it"
    )


def pytest_configure(config: pytest.Config) -> None:
    option = config.option
    if option.dockerlab or option.dockerlab_engine or option.dockerlab_prepare or option.dockerlab_keep:
        from dockerlab.testing.session import Session

        config.pluginmanager.register(Session(config), "dockerlab-session")
