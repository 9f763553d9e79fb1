"""What goes out to others and comes in from them: imports of results files, exports of nights, bundles.

read(path)                  someone else's results or log → Imported
export_night(night, path)   a night as .tsv or .csv
write_bundle(path, …)       a night's result in one file
open_bundle(path)           a stranger's, checked
"""

from appliance.exchange.bundle import BundleManifest, write_bundle
from appliance.exchange.export import results_csv, results_tsv
from appliance.exchange.export import write as export_night
from appliance.exchange.imported import Imported, ImportedRow, Leftover
from appliance.exchange.importer import doubtful_keeps, read, read_bytes
from appliance.exchange.unbundle import Bundle, open_bundle, read_bundle, write_task

__all__ = [
    "Bundle",
    "BundleManifest",
    "Imported",
    "ImportedRow",
    "Leftover",
    "doubtful_keeps",
    "export_night",
    "open_bundle",
    "read",
    "read_bundle",
    "read_bytes",
    "results_csv",
    "results_tsv",
    "write_bundle",
    "write_task",
]
