"""Versions: upstream numbers, Debian's order, and the packages that mend known escapes without a new upstream version."""

import re

FIXED_RUNC_PACKAGES = (
    # CVE-2024-21626, by the distributions' notices DSA-5615-1, DLA-3735-1, USN-6619-1. Debian 12's is also in the package's changelog.
    (re.compile(r"\+deb12u"), "1.1.5+ds1-1+deb12u1"),
    (re.compile(r"\+deb11u"), "1.0.0~rc93+ds1-5+deb11u3"),
    (re.compile(r"~22\.04"), "1.1.7-0ubuntu1~22.04.2"),
    (re.compile(r"~20\.04"), "1.1.7-0ubuntu1~20.04.2"),
)
"""(which package it is, first mended version)."""


def numbers(version: str) -> tuple[int, int, int] | None:
    """Leading `a.b.c` of a version, `1.1.5+ds1` → (1, 1, 5); None where there is none."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def debian_at_least(version: str, fixed: str) -> bool:
    """Whether `version` is `fixed` or newer in Debian's order (Debian Policy 5.6.12; epochs are not in these versions)."""
    return _key(version) >= _key(fixed)


def _key(version: str) -> list[tuple[list[int], int]]:
    upstream, _, revision = version.rpartition("-") if "-" in version else (version, "", "0")
    end = ([0], 0)
    return [*_parts(upstream), end, *_parts(revision), end]


def _parts(text: str) -> list[tuple[list[int], int]]:
    """Alternate non-digits and digits. `~` sorts before the end, the end before letters, letters before the rest."""
    pairs = re.findall(r"(\D*)(\d*)", text)
    return [([*(_order(character) for character in chunk), 0], int(digits or 0)) for chunk, digits in pairs if chunk or digits]


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256
