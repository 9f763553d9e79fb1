"""Entry of a train run: import everything, say `ready`, wait for `release`, run the asset in this process.

Started as a file (`python -P <task>/harness/__main__.py`), so that nothing is imported from the working folder. What lies before `ready`
can be done before the asset is known: importing torch and tracing a first graph, which takes seconds once per process and a fifth of one
afterwards.
"""

import os
import random
import runpy
import sys
import traceback

os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# Before torch loads OpenMP: by default its threads spin for a millisecond at every barrier; where another process wants the core that
# multiplies the time of a step by ten, with this bound by less than two.
sys.path.insert(0, os.environ["APPLIANCE_TASK"])

import numpy as np
import torch

from harness import graph, protocol, run


def main() -> int:
    """Run the asset. Returns the exit code: 0 when weights were handed over."""
    graph.warm()
    protocol.say("ready")
    protocol.wait("release")
    random.seed(protocol.seed())
    np.random.seed(protocol.seed() % 2**32)
    torch.manual_seed(protocol.seed())
    try:
        runpy.run_path(str(protocol.folder("asset") / "train.py"), run_name="__main__")
    except FloatingPointError as error:
        print(error, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    if not run.finished():
        print("the asset ended without run.finish(model): there is no artifact", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
