"""Numbers as people read them: rounded to what the interval allows, with a true minus sign and a narrow space before the unit.

An unknown number is an en dash, never 0. Nothing here knows what a number means; units come from the task.
"""

import math
from datetime import UTC, datetime

UNKNOWN = "–"
NARROW = "\u202f"
_SI = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def known(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def fixed(value: float | None, decimals: int, *, sign: bool = False) -> str:
    """`value` with so many decimals; a true minus; `sign` puts a plus before a gain in value."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= 1e15:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:+,.{decimals}f}" if sign else f"{value:,.{decimals}f}"
    if not text.strip("+-0.,"):
        text = text.lstrip("+-")
    return text.replace(",", NARROW).replace("-", "−")


def significant(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits, without an exponent between 1e-4 and 1e15; whole numbers stay whole."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude >= 15:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    if float(value).is_integer():
        return fixed(value, 0)
    return fixed(value, max(0, digits - 1 - magnitude))


def decimals_for(half_width: float | None, default: int = 4) -> int:
    """Decimals at which a half-width shows two significant digits: what the interval allows the number to claim."""
    if half_width is None or not math.isfinite(half_width) or half_width <= 0:
        return default
    return min(8, max(0, 1 - math.floor(math.log10(half_width))))


def half_width(low: float | None, high: float | None) -> float | None:
    """Half of an interval; None where an end is unknown."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return abs(high - low) / 2


def with_interval(value: float | None, low: float | None, high: float | None, *, sign: bool = True) -> tuple[str, str]:
    """A difference and its interval as two texts, both rounded to what the interval allows, and to four digits at most."""
    largest = max((abs(v) for v in (value, low, high) if v is not None and math.isfinite(v)), default=0.0)
    decimals = min(decimals_for(half_width(low, high)), _decimals_of(largest) + 1)
    if not (known(low) and known(high)):
        return (significant(value) if not sign or not known(value) else fixed(value, _decimals_of(value), sign=True)), UNKNOWN
    return fixed(value, decimals, sign=sign), f"{fixed(low, decimals, sign=sign)} to {fixed(high, decimals, sign=sign)}"


def _decimals_of(value: float | None) -> int:
    if not value or not math.isfinite(value):
        return 4
    return max(0, min(8, 2 - math.floor(math.log10(abs(value)))))


def percent(share: float | None, low: float | None = None, high: float | None = None, *, sign: bool = False) -> str:
    """A share as a percentage, rounded to what its interval allows (one decimal where there is none)."""
    if share is None or not math.isfinite(share):
        return UNKNOWN
    width = half_width(low, high)
    decimals = 1 if width is None else _percent_decimals(width)
    return f"{fixed(share * 100, decimals, sign=sign)}{NARROW}%"


def _percent_decimals(width: float) -> int:
    """One decimal at half-widths from 0.1 to 10 points; more or fewer beyond."""
    points = abs(width) * 100
    return 0 if points >= 10 else 1 if points >= 0.095 else 2 if points >= 0.0095 else 3


def percent_span(low: float | None, high: float | None, *, magnitude: bool = False) -> str:
    """An interval of shares as percentages; `magnitude` drops the signs and puts the smaller end first."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return UNKNOWN
    if magnitude:
        low, high = sorted((abs(low), abs(high)))
    width = half_width(low, high)
    decimals = 1 if width is None else _percent_decimals(width)
    return f"{fixed(low * 100, decimals, sign=not magnitude)} to {fixed(high * 100, decimals, sign=not magnitude)}{NARROW}%"


def scaled(value: float | None, unit: str) -> str:
    """SI prefixes: 6.1 GB, 92.3 TFLOP/s."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    for factor, prefix in _SI:
        if abs(value) >= factor:
            return f"{significant(value / factor) if not (value / factor).is_integer() else fixed(value / factor, 0)}{NARROW}{prefix}{unit}"
    return f"{significant(value)}{NARROW}{unit}"


def formats(unit: str) -> bool:
    """Whether `quantity` has a form of its own for a unit (prefixes, per cent, durations)."""
    return unit.strip().lower() in {
        "bytes",
        "byte",
        "b",
        "bytes/s",
        "b/s",
        "flop/s",
        "flops",
        "share",
        "fraction",
        "ratio",
        "s",
        "seconds",
        "%",
    }


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit as the task names it; bytes and FLOP get prefixes, shares become percentages."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    plain = unit.strip()
    lowered = plain.lower()
    if lowered in {"bytes", "byte", "b"}:
        return scaled(value, "B")
    if lowered in {"bytes/s", "b/s"}:
        return scaled(value, "B/s")
    if lowered in {"flop/s", "flops"}:
        return scaled(value, "FLOP/s")
    if lowered in {"share", "fraction", "ratio"}:
        return percent(value)
    if lowered in {"s", "seconds"}:
        return duration(value)
    if abs(value) >= 1e6:
        return scaled(value, plain if plain != "1" else "")
    number = significant(value) if abs(value) < 1e5 else fixed(float(f"{value:.4g}"), 0)
    return number if plain in {"", "1"} else f"{number}{NARROW}{plain}"


def ratio(value: float | None, reference: float | None) -> str:
    """How many times the reference: `14 ×` or `1/20`."""
    if value is None or not reference or not math.isfinite(value) or not math.isfinite(reference) or value <= 0 or reference <= 0:
        return UNKNOWN
    times = value / reference
    if 0.95 < times < 1.05:
        return "same"
    if times >= 1:
        return f"{_times(times)}{NARROW}×"
    return f"1/{_times(1 / times)}"


def _times(times: float) -> str:
    return (fixed(times, 1) if times < 9.95 else fixed(times, 0)).removesuffix(".0")


def duration(seconds: float | None) -> str:
    """Seconds as `under 0.01 s`, `0.3 s`, `42 s`, `5 min 03 s`, `7 h 41 min`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0:
        return "−" + duration(-seconds)
    if 0 < seconds < 0.01:
        return f"under 0.01{NARROW}s"
    if seconds < 9.95:
        return f"{significant(seconds, 2)}{NARROW}s"
    if seconds < 119.5:
        return f"{seconds:.0f}{NARROW}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        whole = round(seconds)
        return f"{whole // 60}{NARROW}min" + (f" {whole % 60:02d}{NARROW}s" if whole < 600 and whole % 60 else "")
    return f"{minutes // 60}{NARROW}h" + (f" {minutes % 60:02d}{NARROW}min" if minutes % 60 else "")


def moment(text: str | None) -> datetime | None:
    """An ISO time as UTC; None where it is none."""
    if not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def day(text: str | None) -> str:
    """`12 March 2026`."""
    parsed = moment(text)
    return f"{parsed.day} {parsed:%B %Y}" if parsed else UNKNOWN


def minute(text: str | None) -> str:
    """`12 March 2026, 22:04 UTC`."""
    parsed = moment(text)
    return f"{parsed.day} {parsed:%B %Y, %H:%M} UTC" if parsed else UNKNOWN


def literal(value: object) -> str:
    """A constant as code shows it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10_000:
        return f"{value:_}".replace("_", NARROW).replace("-", "−")
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:57] + "…"
    return str(value)[:60]


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 run`, `3 runs`."""
    return f"{fixed(count, 0)} {one if count == 1 else many or one + 's'}"
