"""Files travel while others are still told, up to a bound; what arrives is the same."""

from __future__ import annotations

from dockerlab.builds.sending import CONTEXT, Sender
from dockerlab.builds.tally import Tally
from dockerlab.builds.walking import Walk
from dockerlab.wire.filesync import DATA, REQ, STAT, STATS_END, Packet, packet
from dockerlab.wire.protobuf import encode
from tests.unit.exchanging import Call

FILES, CONTENT = 40_000, b"x" * 4_000
EARLY = 8 << 20


def test_files_travel_while_others_are_told_but_no_more_than_a_few_megabytes() -> None:
    tally, call = Tally(), Call()
    sender = Sender({CONTEXT: Walk(None, {f"{number:05}": CONTENT for number in range(FILES)})}, {CONTEXT: tally})
    service = sender.begin(call, {"dir-name": [CONTEXT]})
    early, told, came, asked = 0, 0, 0, 0
    while True:
        has_more = service.more()
        is_all_told = False
        for message in call.sent:
            got = packet(message)
            is_all_told |= message == STATS_END
            told += got.type == STAT and message != STATS_END
            came += len(got.data) if got.type == DATA else 0
        call.sent.clear()
        if is_all_told:
            early = came
            assert tally.is_told, "what is to be said of its size is known"
        assert tally.is_told or came <= EARLY + (1 << 18)
        call.tell(service, *(encode(Packet(REQ, id=number)) for number in range(asked, told)))
        asked = told
        if not has_more and asked == FILES and came == FILES * len(CONTENT):
            break
    assert early > EARLY // 2, "files travelled before all were told"
    assert tally.sent.sent_size == tally.sent.size == FILES * len(CONTENT)
    assert call.status is None
