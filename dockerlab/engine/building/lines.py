"""Messages of the Engine API's streams: JSON, one a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def line(message: Mapping[str, Any]) -> bytes:
    """A message, as it is sent."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\r\n"
