"""A device in lines for people."""

from appliance.records import Device

_GIB = 1 << 30


def describe(device: Device) -> list[str]:
    """`label: value` lines; what the device refused to tell stands at the end with its reason."""
    lines = [f"{device.name} [{device.slug}]"]
    rows = _cpu(device) if device.kind == "cpu" else _gpu(device)
    lines += [f"  {label:<12} {value}" for label, value in rows if value]
    lines += [f"  {field:<12} not told: {reason}" for field, reason in sorted(device.refused.items())]
    return lines


def _cpu(device: Device) -> list[tuple[str, str | None]]:
    return [
        ("cores", str(device.cores)),
        ("vectors", " ".join(device.vector_extensions) or None),
        ("NUMA nodes", str(device.numa_nodes) if device.numa_nodes else None),
        ("memory", _memory(device)),
        ("clock", _pair(device.sm_clock_mhz, device.sm_clock_max_mhz, "MHz")),
        ("kernel", device.driver),
        ("kind", "virtual machine" if device.virtual else None),
    ]


def _gpu(device: Device) -> list[tuple[str, str | None]]:
    kinds = [
        label
        for label, flag in (("MIG slice", device.mig), ("vGPU", device.virtual), ("laptop", device.laptop), ("ECC", device.ecc))
        if flag
    ]
    others = None if device.processes is None else ", ".join(map(str, device.processes)) or "none"
    pcie = f"generation {device.pcie_generation} × {device.pcie_width}" if device.pcie_generation else None
    return [
        ("index", str(device.index)),
        ("PCI", device.pci_id),
        ("capability", f"{device.compute_capability}, {device.sm_count or '?'} multiprocessors" if device.compute_capability else None),
        ("memory", _memory(device)),
        ("kind", ", ".join(kinds) or None),
        ("power limit", _pair(device.power_limit_w, device.power_max_w, "W")),
        ("SM clock", _pair(device.sm_clock_mhz, device.sm_clock_max_mhz, "MHz")),
        ("memory clock", _pair(device.memory_clock_mhz, device.memory_clock_max_mhz, "MHz")),
        ("PCIe", pcie),
        ("driver", f"{device.driver} (CUDA {device.cuda or '?'})" if device.driver else None),
        ("temperature", f"{device.temperature_c:.0f} °C" if device.temperature_c is not None else None),
        ("processes", others),
    ]


def _memory(device: Device) -> str | None:
    if device.memory_total_bytes is None:
        return None
    usable = f", {device.memory_usable_bytes / _GIB:.1f} GiB usable" if device.memory_usable_bytes else ""
    shared = ", shared with the host" if device.memory_unified else ""
    return f"{device.memory_total_bytes / _GIB:.1f} GiB{usable}{shared}"


def _pair(value: float | None, highest: float | None, unit: str) -> str | None:
    if value is None and highest is None:
        return None
    now = "?" if value is None else f"{value:g}"
    return f"{now} {unit}" if highest is None else f"{now} of {highest:g} {unit}"
