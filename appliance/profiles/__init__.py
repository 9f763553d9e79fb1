"""Facts about kinds of device: read, matched exactly, made from the probe's raw numbers, verified, shared."""

from appliance.profiles.canonical import canonical_json, canonical_sha256
from appliance.profiles.catalog import index, list_lines, match_lines, show_lines
from appliance.profiles.files import newest_own, own_root, read_datasheet, read_measurement, store
from appliance.profiles.match import measured_on_such
from appliance.profiles.probed import BENCHMARK_VERSION, from_probe, public_device
from appliance.profiles.resolve import assemble, find_datasheet, find_measurement, resolve, without_measurement
from appliance.profiles.share import contradicts, diff, export, import_, strip, write_index
from appliance.profiles.verify import Finding, verify, verify_file

__all__ = [
    "BENCHMARK_VERSION",
    "Finding",
    "assemble",
    "canonical_json",
    "canonical_sha256",
    "contradicts",
    "diff",
    "export",
    "find_datasheet",
    "find_measurement",
    "from_probe",
    "import_",
    "index",
    "list_lines",
    "match_lines",
    "measured_on_such",
    "newest_own",
    "own_root",
    "public_device",
    "read_datasheet",
    "read_measurement",
    "resolve",
    "show_lines",
    "store",
    "strip",
    "verify",
    "verify_file",
    "without_measurement",
    "write_index",
]
