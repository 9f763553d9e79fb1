"""Facts about kinds of device: read, matched exactly, made from the probe's raw numbers, verified, shared."""

from appliance.profiles.canonical import canonical_json, canonical_sha256
from appliance.profiles.files import read_datasheet, read_measurement, store
from appliance.profiles.probed import BENCHMARK_VERSION, from_probe, public_device
from appliance.profiles.resolve import assemble, find_datasheet, find_measurement, resolve, without_measurement

__all__ = [
    "BENCHMARK_VERSION",
    "assemble",
    "canonical_json",
    "canonical_sha256",
    "find_datasheet",
    "find_measurement",
    "from_probe",
    "public_device",
    "read_datasheet",
    "read_measurement",
    "resolve",
    "store",
    "without_measurement",
]
