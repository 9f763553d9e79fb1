"""`pip` that stops once a source distribution lies verified on disk, instead of running its build code. A script, never imported.

Usage: python pip_keep.py download --dest FOLDER …
"""

import importlib
import os
import shutil
import sys
from typing import Any


def main() -> None:
    """Run pip with its preparation step replaced."""
    prepare: Any = importlib.import_module("pip._internal.operations.prepare")
    if not hasattr(prepare, "_get_prepared_distribution"):
        sys.exit("ERROR: this version of pip is not known here; install one between 20.3 and 26")
    folder = sys.argv[sys.argv.index("--dest") + 1]

    def keep(requirement: Any, *_: Any, **__: Any) -> None:
        shutil.copy(requirement.local_file_path, folder)
        os._exit(0)  # past pip's own clean-up and error report

    prepare._get_prepared_distribution = keep
    sys.exit(importlib.import_module("pip._internal.cli.main").main(sys.argv[1:]))


if __name__ == "__main__":
    main()
