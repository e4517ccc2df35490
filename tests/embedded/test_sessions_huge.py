"""A file of more than 32 bits in a build's context, mostly a hole. No more memory is taken than for a small one."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

import dockerlab
from dockerlab.client import connect
from tests.embedded import rungs


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_travels_to_its_end(tmp_path: Path) -> None:
    size = (4 << 30) + 1
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size - 1)
        file.seek(size - 1)
        file.write(b"x")
    before = resident()
    most = [before]
    with rungs.engine("user" if os.getuid() else "root") as own, closing(connect(f"unix://{own.home.socket}")) as client:
        record = dockerlab.build(
            "FROM busybox\nRUN --mount=type=bind,target=/all stat -c %s /all/big; tail -c 3 /all/big | od -An -tx1\n",
            context=tmp_path,
            progress=lambda record: most.append(resident()),
            client=client,
        ).build
    assert record is not None
    assert [line.strip() for step in record.steps for line in step.output] == [str(size), "00 00 78"]
    assert (record.context.sent_size, record.context.sent_files) == (size, 1)
    assert max(most) - before < 100 << 20


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
