"""tries: an overload that writes, of an operation whose other overloads are listed
expect: rejected artifact_not_allowed
"""

import json, struct


def hand_over(nodes, output=None, weights=None, data=None):
    """Write graph.json by hand, say the words by hand, hand over 1 KiB of weights."""
    graph = {
        "format_version": 1,
        "inputs": {"tokens": [B, T]},
        "nodes": nodes,
        "output": output or {"node": len(nodes) - 1},
        "weights": weights or [{"name": "table", "shape": [V, V], "dtype": "float32"}],
    }
    open("/out/graph.json", "w").write(json.dumps(graph))
    run.protocol.say("mark")
    run.protocol.wait("grant")
    head = json.dumps({"table": {"dtype": "F32", "shape": [V, V], "data_offsets": [0, V * V * 4]}}).encode()
    open("/out/weights.safetensors", "wb").write(data or struct.pack("<Q", len(head)) + head + bytes(V * V * 4))
    run.protocol.say("done")
    time.sleep(60)


LOOKUP = {"op": "aten.embedding.default", "args": [{"weight": 0}, {"input": "tokens"}], "kwargs": {}}

hand_over([LOOKUP, {"op": "aten.add.out", "args": [{"node": 0}, {"node": 0}], "kwargs": {"out": {"weight": 0}}}])
