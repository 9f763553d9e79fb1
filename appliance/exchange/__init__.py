"""What goes out to others and comes in from them: imports of results files, exports of nights, bundles.

read(path)                  someone else's results or log → Imported
export_night(night, path)   a night as .tsv or .csv
write_bundle(path, …)       a night's result in one file
open_bundle(path)           a stranger's, checked
junit(…), markdown(…)       what a reproduction came to, for CI and for people
"""

from appliance.exchange.bundle import BundleManifest, Pair, write_bundle
from appliance.exchange.export import results_csv, results_tsv
from appliance.exchange.export import write as export_night
from appliance.exchange.imported import Imported, ImportedRow, Leftover
from appliance.exchange.importer import doubtful_keeps, read, read_bytes
from appliance.exchange.reproduction import Answer, FreshRun, Reproduction, junit, markdown
from appliance.exchange.unbundle import Bundle, open_bundle, read_bundle, write_task
from appliance.exchange.whole import write_whole

__all__ = [
    "Answer",
    "Bundle",
    "BundleManifest",
    "FreshRun",
    "Imported",
    "ImportedRow",
    "Leftover",
    "Pair",
    "Reproduction",
    "doubtful_keeps",
    "export_night",
    "junit",
    "markdown",
    "open_bundle",
    "read",
    "read_bundle",
    "read_bytes",
    "results_csv",
    "results_tsv",
    "write_bundle",
    "write_task",
    "write_whole",
]
