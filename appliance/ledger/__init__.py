"""The durable record of a night: what is not recorded did not happen, what is recorded is never lost.

    ledger = create(root, plan)          a new night, open for writing
    ledger = open(folder)                an old one, reconciled and gone on with
    night = read(folder)                 everything a reader needs, changing nothing
    glance = standing(folder)            how far it is, without its rows

Rows are Parquet files (`rows`, `columns`), the state machine is SQLite (`journal`), the order of the two is `book.Ledger`, what a kill
left between them is mended by `reconcile`. Files are written in `disk` alone.
"""

from appliance.ledger.assets import asset_sha256, load_asset
from appliance.ledger.book import Ledger, Pending
from appliance.ledger.disk import Disk
from appliance.ledger.locks import DeviceLock, Owner, device_holder, night_holder
from appliance.ledger.logs import own_log_path, read_log
from appliance.ledger.nights import compact, create, find, list_nights, new_night_id, read, read_plan, standing
from appliance.ledger.nights import open_night as open  # noqa: A004

__all__ = [
    "DeviceLock",
    "Disk",
    "Ledger",
    "Owner",
    "Pending",
    "asset_sha256",
    "compact",
    "create",
    "device_holder",
    "find",
    "list_nights",
    "load_asset",
    "new_night_id",
    "night_holder",
    "open",
    "own_log_path",
    "read",
    "read_log",
    "read_plan",
    "standing",
]
