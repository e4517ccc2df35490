"""What `%load_ext dockerlab` adds to a kernel that has started: python benchmarks/load_extension.py [RUNS]

Each run starts a kernel and times two cells in it: an empty one, which is what any cell costs, and `%load_ext dockerlab`.
"""

from __future__ import annotations

import statistics
import sys
import time

from jupyter_client.manager import start_new_kernel


def cell_seconds(source: str, runs: int) -> list[float]:
    """Wall time of a cell that is the first in its kernel, from the request to the reply."""
    found = []
    for _ in range(runs):
        manager, client = start_new_kernel(kernel_name="python3")
        try:
            started = time.perf_counter()
            reply = client.execute_interactive(source, timeout=60)
            found.append(time.perf_counter() - started)
            if reply["content"]["status"] != "ok":
                raise SystemExit(f"{source} failed: {reply['content']}")
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    return found


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for source in ("pass", "%load_ext dockerlab"):
        milliseconds = [1000 * seconds for seconds in cell_seconds(source, runs)]
        print(
            f"{source:<20} median {statistics.median(milliseconds):6.1f} ms   min {min(milliseconds):6.1f}   max {max(milliseconds):6.1f}"
        )


if __name__ == "__main__":
    main()
