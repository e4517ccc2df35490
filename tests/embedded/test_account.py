"""Who a process runs as."""

from __future__ import annotations

import pytest

from dockerlab.engine.runtime.account import Account, resolve
from dockerlab.errors import EngineError

PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:www:/var/www:/bin/sh\n# broken\nbad:x:a:b:::\n"
GROUP = "root:x:0:\nwww:x:34:\naudio:x:29:root,web\nvideo:x:44:web\n"


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(0, 0, (0, 29), "/root")),
        ("root", Account(0, 0, (0, 29), "/root")),
        ("0", Account(0, 0, (0, 29), "/root")),
        ("web", Account(33, 34, (34, 29, 44), "/var/www")),
        ("33", Account(33, 34, (34, 29, 44), "/var/www")),
        ("web:video", Account(33, 44, (44,), "/var/www")),
        ("web:7", Account(33, 7, (7,), "/var/www")),
        ("1000", Account(1000, 0, (0,), "/")),
        ("1000:1000", Account(1000, 1000, (1000,), "/")),
        (":audio", Account(0, 29, (29,), "/root")),
    ],
)
def test_who_it_is(user: str, account: Account) -> None:
    assert resolve(user, PASSWD, GROUP) == account


def test_more_groups_come_last_and_once() -> None:
    assert resolve("web", PASSWD, GROUP, ["video", "5000"]).groups == (34, 29, 44, 5000)


def test_without_any_files_numbers_still_work() -> None:
    assert resolve("7:8", "", "") == Account(7, 8, (8,))
    assert resolve("", "", "") == Account(0, 0, (0,))


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("nobody", "unable to find user nobody: no matching entries in passwd file"),
        ("web:nogroup", "unable to find group nogroup: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("0:2147483648", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_who_it_cannot_be(user: str, message: str) -> None:
    with pytest.raises(EngineError) as caught:
        resolve(user, PASSWD, GROUP)
    assert caught.value.message == message
    assert caught.value.status == 400
