"""What NVML cannot say about a board and its name alone settles. Exact names, never substrings.

Why a list: on boards that share one memory with the host NVML refuses the memory calls or answers with wrong values, and so does
a GPU that is about to fall off the bus. Only a board named here may answer "not supported" and be taken for a healthy one.
"""

UNIFIED_MEMORY = frozenset({"NVIDIA GB10", "NVIDIA Thor", "Orin", "Orin (nvgpu)", "Xavier"})
"""NVML names of integrated boards: datasheets with `unified_memory`, and Jetson names as their drivers report them."""

CORES_PER_SM = {
    "7.0": 64,
    "7.2": 64,
    "7.5": 64,
    "8.0": 64,
    "8.6": 128,
    "8.7": 128,
    "8.9": 128,
    "9.0": 128,
    "10.0": 128,
    "10.1": 128,
    "10.3": 128,
    "11.0": 128,
    "12.0": 128,
    "12.1": 128,
}
"""FP32 cores per multiprocessor by compute capability: CUDA C++ Programming Guide, "Arithmetic Instructions"."""

LAPTOP_SUFFIXES = (" Laptop GPU", " with Max-Q Design")
"""How the vendor ends the names of laptop boards; their power differs by a factor of two from the desktop board of the same number."""


def slug(name: str) -> str:
    """A name for folders: lower case, every other character a single dash."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:60].strip("-") or "device"
