"""Read `graph.json` and the header of `weights.safetensors` as what they are: hostile bytes.

Nothing is executed, unpickled, evaluated or imported; every value is checked for its exact type and range before it is used, sizes first.
The host runs this without torch before any artifact is touched, the evaluator runs it once more. What passes is a list of operations off
the allowlist, in an order in which each reads only earlier results, with weights that are all used and all as declared.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from operations import COUNTS, DTYPES, FIXED, MEMORY_FORMATS, SIZES, STRINGS, Operation, Parameter, operations

FORMAT_VERSION = 1
GRAPH_FILE = "graph.json"
WEIGHTS_FILE = "weights.safetensors"

MAX_GRAPH_BYTES = 8 << 20
MAX_DEPTH = 8
"""Of nested JSON; the format needs 6."""
MAX_NODES = 50_000
MAX_WEIGHTS = 20_000
MAX_ELEMENTS = 1 << 32
"""Of one tensor, as far as a literal decides it."""
MAX_LIST = 16_384
MAX_DIMENSIONS = 16
MAX_HEADER_BYTES = 8 << 20
MAX_NAME = 512
MAX_INT = (1 << 63) - 1
_NAME = re.compile(rf"[A-Za-z0-9_.\-]{{1,{MAX_NAME}}}")

SAFETENSORS = {
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("bfloat16", 2), "I64": ("int64", 8), "I32": ("int32", 4),
    "I16": ("int16", 2), "I8": ("int8", 1), "U8": ("uint8", 1), "BOOL": ("bool", 1),
}  # fmt: skip
"""Name in the header → dtype, bytes per element."""


class FormatError(Exception):
    """The artifact is not allowed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor that the graph reads."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A checked graph. `nodes` are the JSON objects as they stand."""

    batch: int
    length: int
    weights: tuple[Weight, ...]
    nodes: list[dict[str, Any]]
    output: dict[str, int]


def parse(data: bytes) -> Graph:
    """Check the bytes of `graph.json`.

    Raises:
        FormatError: whatever is not allowed.
    """
    if len(data) > MAX_GRAPH_BYTES:
        raise FormatError(f"graph.json has {len(data)} bytes, more than {MAX_GRAPH_BYTES}")
    document = _load(data, "graph.json")
    _keys(document, {"format_version", "inputs", "weights", "nodes", "output"}, "graph.json")
    if type(document["format_version"]) is not int or document["format_version"] != FORMAT_VERSION:
        raise FormatError(f"graph.json has format_version {document['format_version']!r:.40}, this check knows {FORMAT_VERSION}")
    _keys(document["inputs"], {"tokens"}, "inputs")
    batch, length = _shape(document["inputs"]["tokens"], "inputs.tokens", dimensions=2)
    if not (1 <= batch <= 4096 and 2 <= length <= 65_536):
        raise FormatError(f"tokens [{batch}, {length}] are out of range")
    weights = _weights(document["weights"])
    nodes = document["nodes"]
    if type(nodes) is not list or not 1 <= len(nodes) <= MAX_NODES:
        raise FormatError(f"nodes must be a list of 1 to {MAX_NODES}")
    checker = _Checker(len(weights))
    for index, node in enumerate(nodes):
        checker.node(index, node)
    output = document["output"]
    checker.position = len(nodes)
    checker.where = "output"
    checker.tensor(output)
    if "node" not in output:
        raise FormatError("output must be the result of a node")
    unused = next((weights[i].name for i in range(len(weights)) if i not in checker.used), None)
    if unused is not None:
        raise FormatError(f"weight {unused:.80} is declared but never used")
    return Graph(batch=batch, length=length, weights=weights, nodes=nodes, output=output)


def check_weights(file: BinaryIO, size: int, graph: Graph) -> dict[str, tuple[int, int]]:
    """Check a `weights.safetensors` of `size` bytes against the graph; weight → (first byte, last byte + 1) in the file.

    Raises:
        FormatError: whatever is not exactly the graph's weights, one after another, without gap or overlap.
    """
    head = file.read(8)
    if len(head) != 8:
        raise FormatError("weights.safetensors is shorter than its own header")
    (length,) = struct.unpack("<Q", head)
    if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
        raise FormatError(f"the header of weights.safetensors claims {length} bytes")
    header = _load(file.read(length), "the header of weights.safetensors")
    declared = {weight.name: weight for weight in graph.weights}
    if set(header) != set(declared):
        odd = sorted(set(header) ^ set(declared))[0]
        raise FormatError(f"weight {odd!r:.80} is {'not in the graph' if odd in header else 'not in weights.safetensors'}")
    spans: dict[str, tuple[int, int]] = {}
    for name, entry in header.items():
        _keys(entry, {"dtype", "shape", "data_offsets"}, f"weight {name:.80}")
        dtype, itemsize = SAFETENSORS.get(entry["dtype"], ("", 0)) if type(entry["dtype"]) is str else ("", 0)
        shape = _shape(entry["shape"], f"weight {name:.80}")
        if dtype != declared[name].dtype or shape != declared[name].shape:
            graphs = f"{list(declared[name].shape)} {declared[name].dtype}"
            raise FormatError(f"weight {name:.80} is {list(shape)} {entry['dtype']!r:.20}, the graph says {graphs}")
        begin, end = _shape(entry["data_offsets"], f"offsets of {name:.80}", dimensions=2)
        if end - begin != math.prod(shape) * itemsize:
            raise FormatError(f"weight {name:.80} has {end - begin} bytes instead of {math.prod(shape) * itemsize}")
        spans[name] = (begin, end)
    expected = 0
    for begin, end in sorted(spans.values()):
        if begin != expected:
            raise FormatError("the weights do not lie one after another: there is a gap or an overlap")
        expected = end
    if 8 + length + expected != size:
        raise FormatError(f"weights.safetensors has {size} bytes, its header accounts for {8 + length + expected}")
    return {name: (8 + length + begin, 8 + length + end) for name, (begin, end) in spans.items()}


class _Checker:
    """Walks the nodes in order and knows what each may refer to."""

    def __init__(self, weights: int) -> None:
        self.weights = weights
        self.results: list[int | None] = []
        self.used: set[int] = set()
        self.position = 0
        self.where = ""

    def node(self, index: int, node: Any) -> None:
        self.position, self.where = index, f"node {index}"
        _keys(node, {"op", "args", "kwargs"}, self.where)
        name = node["op"]
        operation = operations().get(name.removeprefix("aten.")) if type(name) is str and name.startswith("aten.") else None
        if operation is None:
            raise FormatError(f"node {index}: operation {name!r:.80} is not on the list")
        self.where = f"node {index} ({name})"
        args, kwargs = node["args"], node["kwargs"]
        if type(args) is not list or type(kwargs) is not dict:
            raise FormatError(f"{self.where}: args must be a list and kwargs an object")
        given = self._bind(operation, args, kwargs)
        fixed = FIXED.get(name.removeprefix("aten."), {})
        for parameter, value in given:
            if value is None and parameter.optional:
                continue
            self._value(parameter, value)
            if parameter.name in fixed and value not in fixed[parameter.name]:
                raise FormatError(f"{self.where}: {parameter.name} may not be {value!r:.40}")
        for required in fixed:
            if required == "num_classes" and all(parameter.name != required for parameter, _ in given):
                raise FormatError(f"{self.where}: {required} must be given")
        if name.startswith("aten.arange"):
            self._arange([value for parameter, value in given if parameter.kind == "Scalar"])
        self.results.append(operation.results)

    def _bind(self, operation: Operation, args: list[Any], kwargs: Mapping[str, Any]) -> list[tuple[Parameter, Any]]:
        positional = [parameter for parameter in operation.parameters if not parameter.keyword_only]
        if len(args) > len(positional):
            raise FormatError(f"{self.where}: {len(args)} arguments, at most {len(positional)} go by position")
        given = list(zip(positional, args, strict=False))
        taken = {parameter.name for parameter, _ in given}
        by_name = {parameter.name: parameter for parameter in operation.parameters}
        for key, value in kwargs.items():
            if key not in by_name or key in taken:
                raise FormatError(f"{self.where}: argument {key!r:.40} is unknown or given twice")
            given.append((by_name[key], value))
            taken.add(key)
        missing = next((p.name for p in operation.parameters if p.required and p.name not in taken), None)
        if missing is not None:
            raise FormatError(f"{self.where}: argument {missing} is missing")
        return given

    def _value(self, parameter: Parameter, value: Any) -> None:
        kind, name = parameter.kind, parameter.name
        if kind.endswith("[]"):
            if kind == "int[]" and type(value) is int:  # ATen takes one number for a list of a known length
                value = [value]
            if type(value) is not list or len(value) > MAX_LIST:
                raise FormatError(f"{self.where}: {name} must be a list of at most {MAX_LIST}")
            for item in value:
                if not (item is None and kind == "Tensor?[]"):
                    self._one(kind.removesuffix("[]").removesuffix("?"), name, item)
            if name in SIZES and kind == "int[]" and (len(value) > MAX_DIMENSIONS or math.prod(abs(v) or 1 for v in value) > MAX_ELEMENTS):
                raise FormatError(f"{self.where}: {name} asks for more than {MAX_ELEMENTS} elements")
            numbers = value if name in COUNTS and kind == "int[]" else []
        else:
            self._one(kind, name, value)
            numbers = [value] if name in COUNTS and kind == "int" else []
        if any(not -MAX_ELEMENTS <= number <= MAX_ELEMENTS for number in numbers):
            raise FormatError(f"{self.where}: {name} is too large")

    def _one(self, kind: str, name: str, value: Any) -> None:
        if kind == "Tensor" and name == "other" and type(value) in (int, float):  # a plain number, as in x / 15
            self._one("Scalar", name, value)
        elif kind == "Tensor":
            self.tensor(value)
        elif kind == "int":
            _integer(value, f"{self.where}: {name}")
        elif kind in ("float", "Scalar"):
            if type(value) is dict and value in ({"float": "inf"}, {"float": "-inf"}):
                return
            if type(value) is bool and kind == "Scalar":
                return
            if type(value) is float and math.isfinite(value):
                return
            _integer(value, f"{self.where}: {name}")
        elif kind == "bool":
            if type(value) is not bool:
                raise FormatError(f"{self.where}: {name} must be true or false")
        elif kind == "str":
            if type(value) is not str or value not in STRINGS.get(name, ()):
                raise FormatError(f"{self.where}: {name} may not be {value!r:.40}")
        elif kind == "dtype":
            _tagged(value, "dtype", DTYPES, self.where)
        elif kind == "MemoryFormat":
            _tagged(value, "memory_format", MEMORY_FORMATS, self.where)
        else:
            raise FormatError(f"{self.where}: an argument of kind {kind} cannot be given")

    def tensor(self, value: Any) -> None:
        """A reference to the input, a weight, or an earlier result."""
        if type(value) is not dict or not value:
            raise FormatError(f"{self.where}: a tensor must be given by reference")
        if value == {"input": "tokens"}:
            return
        if set(value) == {"weight"}:
            index = _integer(value["weight"], f"{self.where}: weight")
            if not 0 <= index < self.weights:
                raise FormatError(f"{self.where}: there is no weight {index}")
            self.used.add(index)
            return
        if not {"node"} <= set(value) <= {"node", "item"}:
            raise FormatError(f"{self.where}: {str(value)!r:.60} is no reference")
        index = _integer(value["node"], f"{self.where}: node")
        if not 0 <= index < self.position:
            raise FormatError(f"{self.where}: refers to node {index}, which is not before it")
        results = self.results[index]
        if "item" in value:
            item = _integer(value["item"], f"{self.where}: item")
            if results == 1 or not 0 <= item < (results or MAX_LIST):
                raise FormatError(f"{self.where}: node {index} has no result {item}")
        elif results != 1:
            raise FormatError(f"{self.where}: node {index} has several results, and none is named")

    def _arange(self, numbers: list[Any]) -> None:
        if any(type(number) is dict for number in numbers):
            raise FormatError(f"{self.where}: needs finite bounds")
        start, end, step = (0, numbers[0], 1) if len(numbers) == 1 else (numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 1)
        if step == 0 or abs(end - start) > MAX_ELEMENTS * abs(step):
            raise FormatError(f"{self.where}: asks for more than {MAX_ELEMENTS} elements")


def _weights(value: Any) -> tuple[Weight, ...]:
    if type(value) is not list or len(value) > MAX_WEIGHTS:
        raise FormatError(f"weights must be a list of at most {MAX_WEIGHTS}")
    weights = []
    names: set[str] = set()
    for index, entry in enumerate(value):
        _keys(entry, {"name", "shape", "dtype"}, f"weight {index}")
        name = entry["name"]
        if type(name) is not str or not _NAME.fullmatch(name) or name in names:
            raise FormatError(f"weight {index} has no name of its own made of letters, digits, `_`, `-` and `.`")
        names.add(name)
        if type(entry["dtype"]) is not str or entry["dtype"] not in DTYPES:
            raise FormatError(f"weight {name:.80} has dtype {entry['dtype']!r:.40}")
        weights.append(Weight(name, _shape(entry["shape"], f"weight {name:.80}"), entry["dtype"]))
    return tuple(weights)


def _load(data: bytes, what: str) -> dict[str, Any]:
    """JSON of bounded depth, without doubled keys, NaN or huge numbers; an object at the top."""
    depth = deepest = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data).translate(None, delete=bytes(set(range(256)) - set(b"[]{}"))):
        depth += 1 if byte in b"[{" else -1
        if depth > deepest:
            deepest = depth
            if deepest > MAX_DEPTH:
                raise FormatError(f"{what} is nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_bounded)
    except FormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is no JSON: {str(error).splitlines()[0]:.80}") from error
    if type(value) is not dict:
        raise FormatError(f"{what} must be an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FormatError("an object names a key twice")
    return value


def _refuse(word: str) -> Any:
    raise FormatError(f"{word} is no number of the format")


def _bounded(digits: str) -> int:
    if len(digits) > 20:
        raise FormatError("a number has more than 20 digits")
    return int(digits)


def _keys(value: Any, keys: set[str], what: str) -> None:
    if type(value) is not dict or set(value) != keys:
        raise FormatError(f"{what} must be an object with exactly {', '.join(sorted(keys))}")


def _integer(value: Any, what: str) -> int:
    if type(value) is not int or abs(value) > MAX_INT:
        raise FormatError(f"{what} must be an integer, not {value!r:.40}")
    return value


def _shape(value: Any, what: str, dimensions: int | None = None) -> tuple[int, ...]:
    if type(value) is not list or len(value) > MAX_DIMENSIONS or (dimensions is not None and len(value) != dimensions):
        raise FormatError(f"{what} must be a list of {dimensions or f'at most {MAX_DIMENSIONS}'} integers")
    if any(type(item) is not int or not 0 <= item <= MAX_INT for item in value):
        raise FormatError(f"{what} must hold integers from 0 up, not {value!r:.60}")
    if dimensions is None and math.prod(value) > MAX_ELEMENTS:
        raise FormatError(f"{what} has more than {MAX_ELEMENTS} elements")
    return tuple(value)


def _tagged(value: Any, tag: str, words: frozenset[str], where: str) -> None:
    if type(value) is not dict or set(value) != {tag} or type(value[tag]) is not str or value[tag] not in words:
        raise FormatError(f"{where}: {str(value)!r:.60} is no {tag}")
