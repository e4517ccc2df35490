"""Which records of the build cache are to go: `docker builder prune` with its filters, and with how much may stay. Pure.

    Wanted.of(query, now)               raises UsageError
    wanted.chosen(records, labels)      records: as `GET /system/df` lists them; their IDs, those that are used least recently first

Follows moby/moby (builder/builder-next/builder.go: toBuildkitPruneInfo) and moby/buildkit (cache/manager.go: adaptUsageInfo).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dockerlab.engine import timestamps
from dockerlab.engine.filters import Filters, parse
from dockerlab.engine.http.types import Query
from dockerlab.errors import EngineError, UsageError

_TEXTS: Final = {"type": "Type", "description": "Description"}
_STATES: Final = {"inuse": ("InUse", True), "shared": ("Shared", True), "private": ("Shared", False)}
_UNTIL: Final = ("until", "unused-for")
_LABELS: Final = ("label", "label!")  # `docker system prune` hands its own on; only steps have some
_SINGLE: Final = ("id", "parent", *_TEXTS, *_STATES, *_UNTIL)
_KEPT: Final = ("keep-storage", "reserved-space", "max-used-space")
_PREFIX: Final = "failed to prune build cache: "


@dataclass(frozen=True)
class Wanted:
    """until: nanoseconds since 1970; what was used later stays. keep: how many bytes of the cache may stay."""

    filters: Filters
    until: int | None
    keep: int

    @classmethod
    def of(cls, query: Query, now: int) -> Wanted:
        """What a request asks for. Raises UsageError, and EngineError for a time that is none."""
        filters = parse(query.text("filters"), (*_SINGLE, *_LABELS))
        if any(len(filters.values(term)) > 1 for term in _SINGLE):
            raise UsageError(f"{_PREFIX}filters expect only one value")
        given = [term for term in _UNTIL if filters.values(term)]
        if len(given) > 1:
            raise UsageError(f'{_PREFIX}conflicting filters: "until" and "unused-for"')
        until = None
        for value in (filters.values(term)[0] for term in given):
            try:
                until = timestamps.moment(value, now)
            except ValueError:
                raise EngineError(f'failed to parse value as time or duration: "{value}"', status=500) from None
        return cls(filters, until, max(query.number(name) or 0 for name in _KEPT))

    def chosen(self, records: Sequence[Mapping[str, Any]], labels: Mapping[str, Mapping[str, str]]) -> list[str]:
        """labels: by ID, of those that have some."""
        found = [record for record in records if self._has(record, labels.get(record["ID"], {}))]
        if not self.keep:
            return [record["ID"] for record in found]
        left = sum(record["Size"] for record in records if not record["Shared"])
        chosen = []
        for record in sorted(found, key=_used):
            if left > self.keep:
                chosen.append(record["ID"])
                left -= 0 if record["Shared"] else record["Size"]
        return chosen

    def _has(self, record: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
        filters = self.filters
        return (
            filters.is_pattern("id", record["ID"])
            and filters.is_exact("parent", record.get("Parent", ""))
            and all(filters.is_exact(term, record[field]) for term, field in _TEXTS.items())
            and all(filters.flag(term) in (None, record[field] is value) for term, (field, value) in _STATES.items())
            and filters.has_labels(labels)
            and filters.lacks_labels(labels)
            and (self.until is None or _used(record) < self.until)
        )


def _used(record: Mapping[str, Any]) -> int:
    return timestamps.nanoseconds(str(record["LastUsedAt"]))
