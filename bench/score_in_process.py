"""Inside the image, for `boundary.py`: the seconds that scoring an artifact takes a program that has it loaded and trusts it.

`python score_in_process.py`, beside the evaluator's folder. No proof, no second pass, no watch; the second of two readings counts, so that
nothing is paid for being the first. Writes score.json: {"seconds", "score"}.
"""

import importlib.util
import json
import os
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "evaluator"


def main() -> None:
    """Score twice, tell the second."""
    named = importlib.util.spec_from_file_location("evaluator_main", FOLDER / "__main__.py")
    assert named is not None
    assert named.loader is not None
    evaluator = importlib.util.module_from_spec(named)
    named.loader.exec_module(evaluator)
    torch, numpy, split, proof = evaluator.torch, evaluator.np, evaluator.split, evaluator.proving
    params = json.loads(os.environ["APPLIANCE_PARAMS"])
    streams = split.read(Path(os.environ["APPLIANCE_DATA"]), int(params["evaluation_bytes"]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    program = evaluator.Program(*evaluator.load(Path(os.environ["APPLIANCE_ARTIFACT"]), device), device)
    (_, _, vocabulary), _, dtypes = program.measure(1 << 40)
    program.settle()
    name, tolerance = proof.tolerance_bits(dtypes)
    for _ in range(2):
        began = time.perf_counter()
        stream = streams[vocabulary]
        windows = split.windows(stream, program.length)
        empty = proof.Proof(method="none", device=device.type, dtype=name, tolerance_bits=tolerance, smallest_effect=1.0)
        bits = proof.Scorer(program, vocabulary, windows, empty, 1.0, None).score()
        sizes = numpy.where(windows.scored, stream.token_bytes[windows.targets], 0)
        score = float(numpy.where(windows.scored, bits, 0).astype(numpy.float64).sum() / sizes.sum())
        seconds = time.perf_counter() - began
    (Path(os.environ["APPLIANCE_OUT"]) / "score.json").write_text(json.dumps({"seconds": seconds, "score": score}))
    os.write(1, f"\n::appliance {os.environ['APPLIANCE_NONCE']} done\n".encode())


if __name__ == "__main__":
    main()
