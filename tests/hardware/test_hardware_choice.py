import pytest

from appliance.errors import UsageError
from appliance.hardware import choose, describe, detect
from appliance.hardware.boards import UNIFIED_MEMORY, slug
from appliance.profiles.files import datasheet_files, read_datasheet, roots
from appliance.records import Device


def _gpu(index: int, name: str = "NVIDIA A40", **more: object) -> Device:
    return Device(kind="cuda", index=index, name=name, slug=slug(name), uuid=f"GPU-{index}{index}{index}{index}aaaa-0000", **more)


CPU = Device(kind="cpu", index=0, name="Some CPU", slug="some-cpu-2c", cores=2)


def test_every_machine_has_a_cpu_and_it_describes_itself() -> None:
    device = detect()[-1]
    assert device.kind == "cpu"
    assert device.cores
    assert device.memory_total_bytes
    lines = describe(device)
    assert device.slug in lines[0]
    assert any("GiB" in line for line in lines)


@pytest.mark.parametrize("selector", ["1", "GPU-1111", "1111AAAA", "nvidia-l4"])
def test_a_selector_is_an_index_a_uuid_or_a_slug(selector: str) -> None:
    assert choose([_gpu(0), _gpu(1, "NVIDIA L4"), CPU], selector).index == 1


def test_cpu_selects_the_cpu_beside_a_gpu() -> None:
    assert choose([_gpu(0), CPU], "cpu") is CPU


@pytest.mark.parametrize("selector", ["7", "GPU-9999", "nvidia-h100", "1", "11"])
def test_a_selector_that_fits_nothing_names_what_is_there(selector: str) -> None:
    with pytest.raises(UsageError, match=r"no device answers to it; there are: 0 \(NVIDIA A40, nvidia-a40\), cpu \(Some CPU\)"):
        choose([_gpu(0), CPU], selector)


def test_a_uuid_prefix_of_two_boards_is_refused() -> None:
    twin = Device(kind="cuda", index=1, name="NVIDIA A40", slug="nvidia-a40", uuid="GPU-0000aaaa-1111")
    with pytest.raises(UsageError, match="more than one"):
        choose([_gpu(0), twin, CPU], "GPU-0000aaaa")


def test_busy_boards_are_used_when_all_are_busy() -> None:
    busy = [_gpu(0, processes=[5], memory_total_bytes=10), _gpu(1, processes=[6], memory_total_bytes=20)]
    assert choose([*busy, CPU]).index == 1


def test_a_slug_of_two_boards_is_the_idle_one() -> None:
    assert choose([_gpu(0, processes=[5]), _gpu(1), CPU], "nvidia-a40").index == 1


def test_the_boards_that_may_hide_their_memory_are_those_of_the_datasheets() -> None:
    stated = {
        name
        for root in roots()
        for path in datasheet_files(root)
        if (sheet := read_datasheet(path)).vendor == "nvidia" and sheet.unified_memory
        for name in sheet.nvml_names
    }
    assert stated
    assert stated <= UNIFIED_MEMORY
