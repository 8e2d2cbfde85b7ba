"""How long a server asks us to wait, from the headers of its refusal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")


def wait_asked_for(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds, 0 or more; None if the headers (names in lower case) name none that can be read.

    ``retry-after-ms`` before ``retry-after`` (seconds or an HTTP date); else the latest reset of a limit that is used
    up: ``anthropic-ratelimit-<limit>-reset`` (a time) or ``x-ratelimit-reset-<limit>`` (OpenAI: a duration, ``6m0s``).
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    if (asked := headers.get("retry-after")) is not None:
        seconds = _number(asked)
        return seconds if seconds is not None else _until(_http_date(asked), now)
    return max(_resets(headers, now), default=None)


def _resets(headers: Mapping[str, str], now: datetime) -> Iterator[float]:
    for limit in _LIMITS:
        if headers.get(f"anthropic-ratelimit-{limit}-remaining") == "0":
            wait = _until(_iso_date(headers.get(f"anthropic-ratelimit-{limit}-reset", "")), now)
            if wait is not None:
                yield wait
        if headers.get(f"x-ratelimit-remaining-{limit}") == "0":
            parts = _DURATION.findall(headers.get(f"x-ratelimit-reset-{limit}", ""))
            if parts:
                yield sum(float(count) * _SECONDS[unit] for count, unit in parts)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _until(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(text))
    except ValueError:
        return None


def _iso_date(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text))
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
