"""No file's content travels before all files are told, nor before what is to be said of their size is shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dockerlab.builds import sending
from dockerlab.builds.sending import CONTEXT, Sender
from dockerlab.builds.tally import Tally
from dockerlab.builds.walking import Walk
from dockerlab.wire.filesync import DATA, REQ, STAT, STATS_END, Packet, packet
from dockerlab.wire.protobuf import encode
from tests.unit.exchanging import Call

FILES, CONTENT = 2_000, b"x" * 4_000


def test_what_is_asked_for_early_travels_when_all_is_told() -> None:
    tally, call = Tally(), Call()
    sender = Sender({CONTEXT: Walk(None, {f"{number:05}": CONTENT for number in range(FILES)})}, {CONTEXT: tally})
    service = sender.begin(call, {"dir-name": [CONTEXT]})
    told = came = asked = rounds = 0
    while came < FILES * len(CONTENT):
        service.more()
        for got in map(packet, call.sent):
            told += got.type == STAT and got.stat is not None
            came += len(got.data) if got.type == DATA else 0
        rounds += STATS_END not in call.sent and not tally.is_told
        assert tally.is_told or not came
        call.sent.clear()
        call.tell(service, *(encode(Packet(REQ, id=number)) for number in range(asked, told)))
        asked = told
    assert rounds > 1, "some were asked for while others were not yet told"
    assert tally.sent.sent_size == tally.sent.size == FILES * len(CONTENT)
    assert call.status is None


def heavy(folder: Path) -> tuple[Tally, Call, sending._Sending]:
    """A context of a gigabyte, all of which is told and asked for."""
    with (folder / "big").open("wb") as file:
        file.truncate(1 << 30)
    tally, call = Tally(), Call()
    service = Sender({CONTEXT: Walk(folder, {})}, {CONTEXT: tally}).begin(call, {"dir-name": [CONTEXT]})
    assert isinstance(service, sending._Sending)
    assert service.more()
    assert [stat.S_IFMT(found.mode) for found in tally.found] == [stat.S_IFREG]
    call.sent.clear()
    call.tell(service, encode(Packet(REQ)))
    return tally, call, service


def test_of_a_context_that_is_too_big_nothing_travels_before_the_warning_is_shown(tmp_path: Path) -> None:
    tally, call, service = heavy(tmp_path)
    tally.show(())
    assert service.more()
    assert call.sent == []
    tally.show(tally.warnings)
    assert service.more()
    assert packet(call.sent[0]).data


def test_a_warning_that_cannot_be_shown_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_LONGEST_WAIT", 2 * sending._WAIT)
    _, call, service = heavy(tmp_path)
    sent = []
    for _ in range(3):
        assert service.more()
        sent.append(len(call.sent))
    assert sent[:2] == [0, 0]
    assert sent[2]
