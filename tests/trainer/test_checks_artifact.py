"""The host's check, without torch: one small graph that passes, and everything near it that must not."""

# ruff: noqa: E402, PT017 -- the trainer is no package: its folder goes on the path first

import copy
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

TRAINER = Path(__file__).resolve().parents[2] / "trainer"
sys.path.insert(0, str(TRAINER / "evaluator"))

from graph_format import FormatError, parse

GRAPH = {
    "format_version": 1,
    "inputs": {"tokens": [2, 8]},
    "weights": [{"name": "table", "shape": [16, 16], "dtype": "float32"}],
    "nodes": [
        {"op": "aten.embedding.default", "args": [{"weight": 0}, {"input": "tokens"}], "kwargs": {}},
        {"op": "aten.topk.default", "args": [{"node": 0}, 2, -1], "kwargs": {}},
        {"op": "aten.amax.default", "args": [{"node": 1, "item": 0}, [-1], True], "kwargs": {}},
        {"op": "aten.sub.Tensor", "args": [{"node": 0}, {"node": 2}], "kwargs": {}},
    ],
    "output": {"node": 3},
}


def weights(shape=(16, 16), dtype="F32", name="table", offsets=None, extra=b"", size=1024):
    head = json.dumps({name: {"dtype": dtype, "shape": list(shape), "data_offsets": offsets or [0, size]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(size) + extra


def run(stage, folder):
    done = subprocess.run(
        [sys.executable, "-I", str(TRAINER / "checks" / "artifact.py"), stage, str(folder)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.strip()


def write(folder, graph=GRAPH, data=None):
    (folder / "graph.json").write_text(graph if isinstance(graph, str) else json.dumps(graph))
    (folder / "weights.safetensors").write_bytes(weights() if data is None else data)


def changed(path, value):
    """GRAPH with one value replaced; `...` removes it."""
    graph = copy.deepcopy(GRAPH)
    at = graph
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return graph


def test_the_graph_that_all_other_tests_change_passes_at_the_mark_and_at_the_end(tmp_path):
    write(tmp_path)
    assert run("mark", tmp_path) == (0, "")
    assert run("end", tmp_path) == (0, "")


def node(op, *args, **kwargs):
    return {"op": op, "args": list(args), "kwargs": kwargs}


NODE = ("nodes", 3)
X = {"node": 0}

REFUSED = {
    "a newer format": (("format_version",), 2),
    "a version that is a float": (("format_version",), 1.0),
    "a version that is true": (("format_version",), True),
    "a key too many": (("extra",), 1),
    "no output": (("output",), ...),
    "an output that is a weight": (("output",), {"weight": 0}),
    "an output past the end": (("output",), {"node": 4}),
    "tokens without a row": (("inputs", "tokens"), [0, 8]),
    "tokens of one dimension": (("inputs", "tokens"), [8]),
    "a symbolic shape": (("inputs", "tokens"), ["s0", 8]),
    "an expression as a shape": (("weights", 0, "shape"), ["__import__('os').system('id')", 16]),
    "a negative shape": (("weights", 0, "shape"), [-16, 16]),
    "a shape of booleans": (("weights", 0, "shape"), [True, 16]),
    "an enormous shape": (("weights", 0, "shape"), [1 << 40, 1 << 40]),
    "a dtype of no use": (("weights", 0, "dtype"), "complex64"),
    "a weight's name with a path": (("weights", 0, "name"), "../../etc/passwd"),
    "a weight that nobody uses": (("weights",), [*GRAPH["weights"], {"name": "idle", "shape": [1], "dtype": "float32"}]),
    "no nodes": (("nodes",), []),
    "an operation that reads files": (NODE, node("aten.from_file.default", "/data/tokens-256.bin")),
    "an operation of another namespace": (NODE, node("prims.device_put.default", X)),
    "an operation by a path of attributes": (NODE, node("aten.sub.__globals__", X)),
    "a Python function": (NODE, node("os.system", "id")),
    "a list as the operation": (NODE, {"op": ["aten.sub.Tensor"], "args": [X, X], "kwargs": {}}),
    "an overload off the list": (NODE, node("aten.sub.out", X, X)),
    "a random operation": (NODE, node("aten.rand_like.default", X)),
    "dropout": (NODE, node("aten.native_dropout.default", X, 0.5, True)),
    "dropout inside attention": (NODE, node("aten.scaled_dot_product_attention.default", X, X, X, None, 0.5)),
    "dropout inside a GRU": (NODE, node("aten.gru.input", X, X, [X], False, 1, 0.5, False, False, True)),
    "a GRU in training": (NODE, node("aten.gru.input", X, X, [X], False, 1, 0.0, True, False, True)),
    "a mutation": (NODE, node("aten.add_.Tensor", X, X)),
    "an out argument": (NODE, node("aten.sub.Tensor", X, X, out=X)),
    "uninitialised memory": (NODE, node("aten.empty.memory_format", [4])),
    "memory by stride": (NODE, node("aten.as_strided.default", X, [1 << 20], [1])),
    "a reference forwards": (NODE, node("aten.sub.Tensor", X, {"node": 3})),
    "a reference to itself": (NODE, node("aten.neg.default", {"node": 3})),
    "a negative reference": (NODE, node("aten.neg.default", {"node": -1})),
    "a fractional reference": (NODE, node("aten.neg.default", {"node": 0.0})),
    "a reference to no weight": (NODE, node("aten.neg.default", {"weight": 1})),
    "a reference to another input": (NODE, node("aten.neg.default", {"input": "labels"})),
    "a tensor given as a list of numbers": (NODE, node("aten.neg.default", [1, 2, 3])),
    "a tensor given as a word": (NODE, node("aten.neg.default", "weights.pt")),
    "a result that does not exist": (NODE, node("aten.neg.default", {"node": 1, "item": 2})),
    "several results as one": (NODE, node("aten.neg.default", {"node": 1})),
    "a part of a single result": (NODE, node("aten.neg.default", {"node": 0, "item": 0})),
    "a missing argument": (NODE, node("aten.sub.Tensor", X)),
    "an argument too many": (NODE, node("aten.neg.default", X, X)),
    "an argument given twice": (NODE, node("aten.sub.Tensor", X, X, other=X)),
    "an unknown argument": (NODE, node("aten.neg.default", X, shell=True)),
    "a word where a number goes": (NODE, node("aten.sub.Scalar", X, "1")),
    "a word off the list": (NODE, node("aten.gelu.default", X, approximate="exec")),
    "a dtype by a path of attributes": (NODE, node("aten._to_copy.default", X, dtype={"dtype": "__builtins__"})),
    "a device": (NODE, node("aten._to_copy.default", X, device={"device": "cpu"})),
    "NaN as a literal": (NODE, node("aten.sub.Scalar", X, {"float": "nan"})),
    "a constructor of terabytes": (NODE, node("aten.zeros.default", [1 << 20, 1 << 20])),
    "an expansion to terabytes": (NODE, node("aten.expand.default", X, [1 << 20, 1 << 20, 1])),
    "a repetition to terabytes": (NODE, node("aten.repeat.default", X, [1 << 20, 1 << 20, 1])),
    "a range of terabytes": (NODE, node("aten.arange.default", 1 << 45)),
    "a range without end": (NODE, node("aten.arange.default", {"float": "inf"})),
    "a range of steps of nothing": (NODE, node("aten.arange.start_step", 0, 8, 0)),
    "a range of tiny steps": (NODE, node("aten.arange.start_step", 0, 8, 1e-12)),
    "classes decided by values": (NODE, node("aten.one_hot.default", X)),
    "a padding of terabytes": (NODE, node("aten.constant_pad_nd.default", X, [0, 1 << 45])),
    "an integer beyond 64 bits": (NODE, node("aten.sub.Scalar", X, 1 << 64)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_host_refuses(name, tmp_path):
    with pytest.raises(FormatError):
        parse(json.dumps(changed(*REFUSED[name])).encode())


TEXTS = {
    "no JSON": "{",
    "a list": "[]",
    "not UTF-8": b"\xff\xfe{}",
    "NaN": json.dumps(GRAPH).replace('"format_version": 1', '"format_version": NaN'),
    "a key twice": json.dumps(GRAPH)[:-1] + ', "nodes": []}',
    "a million brackets": "[" * 1_000_000,
    "a nested bomb": '{"a":' * 5000 + "1" + "}" * 5000,
    "a number of a million digits": '{"format_version": ' + "9" * 1_000_000 + "}",
    "more than the cap": " " * (9 << 20),
    "nothing": "",
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_host_refuses_a_file_that_is(name, tmp_path):
    text = TEXTS[name]
    (tmp_path / "graph.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, reason = run("mark", tmp_path)
    assert code == 1
    assert reason
    assert "\n" not in reason


WEIGHTS = {
    "missing": None,
    "empty": b"",
    "a header longer than the file": struct.pack("<Q", 1 << 60) + b"{}",
    "another shape": weights(shape=(16, 15), size=960),
    "another dtype of the same size": weights(dtype="I32"),
    "another name": weights(name="other"),
    "a dtype off the list": weights(dtype="PICKLE"),
    "an offset past the end": weights(offsets=[0, 2048]),
    "a gap before": weights(offsets=[64, 1088], extra=bytes(64)),
    "bytes behind the last weight": weights(extra=b"payload"),
    "offsets that are no numbers": weights(offsets=["0", "1024"]),
    "a pickle": b"\x80\x04\x95" + bytes(64),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_host_refuses_weights_with(name, tmp_path):
    write(tmp_path, data=WEIGHTS[name] or b"")
    if WEIGHTS[name] is None:
        (tmp_path / "weights.safetensors").unlink()
    code, reason = run("end", tmp_path)
    assert code == 1
    assert reason


def test_two_weights_that_overlap_are_refused(tmp_path):
    graph = changed(("weights",), [*GRAPH["weights"], {"name": "second", "shape": [16, 16], "dtype": "float32"}])
    graph["nodes"][3]["args"][1] = {"weight": 1}
    entry = {"dtype": "F32", "shape": [16, 16], "data_offsets": [0, 1024]}
    head = json.dumps({"table": entry, "second": entry}).encode()
    write(tmp_path, graph, struct.pack("<Q", len(head)) + head + bytes(1024))
    assert run("end", tmp_path) == (1, "the weights do not lie one after another: there is a gap or an overlap")


def test_links_pipes_and_folders_are_no_artifact(tmp_path):
    write(tmp_path)
    path = tmp_path / "graph.json"
    for make in (
        lambda: path.symlink_to("/etc/passwd"),
        lambda: os.link(tmp_path / "weights.safetensors", path),
        lambda: os.mkfifo(path),
        lambda: path.mkdir(),
    ):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
        make()
        assert run("mark", tmp_path)[0] == 1


def test_a_reason_is_one_line_of_ascii_whatever_the_artifact_says(tmp_path):
    write(tmp_path, changed(("nodes", 3, "op"), "aten.\x1b[2J<script>\n\u202e" + "x" * 10_000))
    code, reason = run("mark", tmp_path)
    assert code == 1
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) <= 300


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_mutation_of_a_graph_does_anything_but_pass_or_be_refused(data):
    graph = copy.deepcopy(GRAPH)
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda s: st.lists(s, max_size=3), max_leaves=4
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = graph
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(at[key], (dict, list)) and data.draw(st.booleans()):
                at = at[key]
            else:
                at[key] = data.draw(junk)
                break
    try:
        parse(json.dumps(graph).encode())
    except FormatError as error:
        assert str(error)
