"""Numbers as a model reads them best: three digits, physical prefixes, differences in units of noise."""

from collections.abc import Mapping

from appliance.records import Constant, Observable

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def si(value: float | None, unit: str) -> str:
    """`2.87 TFLOP/s`; `unknown` where nobody knows."""
    if value is None:
        return "unknown"
    for size, prefix in _PREFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def number(value: float) -> str:
    """Whole where it is large, three digits where it is small."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def signed(value: float) -> str:
    """With a true minus sign."""
    return f"{value:+.4g}".replace("-", "−")


def effect(difference: float | None, noise_sd: float | None) -> str:
    """`−0.0120 (−4.8 sd)`; a dash where there is none."""
    if difference is None:
        return "–"
    return signed(difference) + (f" ({signed(round(difference / noise_sd, 1))} sd)" if noise_sd else "")


def observable(value: float, meaning: Observable | None, name: str) -> str:
    """`Optimiser steps 1,204`; bytes with prefixes."""
    label = meaning.label if meaning else name
    if meaning is not None and meaning.unit == "bytes":
        return f"{label} {si(value, 'B')}"
    return f"{label} {number(value)}" + (
        f" {meaning.unit}" if meaning and meaning.unit not in ("steps", "tokens", "parameters", "share") else ""
    )


def changes(old: Mapping[str, Constant], new: Mapping[str, Constant]) -> str:
    """`DEPTH 6→3, WIDTH 256→128`; empty where no constant differs."""
    names = [name for name in new if name in old and (type(old[name]), old[name]) != (type(new[name]), new[name])]
    return ", ".join(f"{name} {old[name]}→{new[name]}" for name in names)
