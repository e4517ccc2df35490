"""testcontainers-python: `.venv/bin/python -m tests.conformance.testcontainers [NAME=URL …]`, see `suite`.

Its source distribution has no tests; `testcontainers_uses.py` does what its users do. Ryuk, which removes what a killed test run left, is
off: it is an image that must be pulled.
"""

from __future__ import annotations

import sys

from tests.conformance.suite import Suite, compare

SUITE = Suite(
    "testcontainers",
    "4.15.0",
    ("pytest >= 9", "pytest-timeout"),
    ("testcontainers_uses.py",),
    ("-o", "filterwarnings="),
    from_source=False,
    environment={"TESTCONTAINERS_RYUK_DISABLED": "true"},
)

if __name__ == "__main__":
    sys.exit(compare(SUITE, sys.argv[1:]))
