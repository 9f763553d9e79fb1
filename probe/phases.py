"""The phases that need torch, by name, and what they run on."""

import torch
from children import answer


def serve(phase: str, request: dict) -> None:
    """Run one phase by name, printing its answers. Called in a process of its own."""
    torch.manual_seed(request["seed"])
    kind = device_kind(request["device"])
    match phase:
        case "matrix_search":
            import matrix

            answer(matrix.search(kind, request["mode"]) | {"environment": environment(kind)})
        case "matrix_confirm":
            import matrix

            answer(matrix.confirm(kind, request["mode"], request["winners"]))
        case "bandwidth":
            import bandwidth

            answer(bandwidth.measure(kind, request["mode"]))
        case "attention":
            import attention

            attention.serve(kind, request, answer)


def device_kind(wanted: str) -> str:
    """`cuda` or `cpu`.

    Raises:
        SystemExit: a GPU was asked for and this torch cannot use it.
    """
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise SystemExit(f"no GPU can be used here: torch {torch.__version__} is {built} and finds no device")
    return "cpu"


def environment(kind: str) -> dict:
    """What the numbers depend on besides the device."""
    facts = {"kind": kind, "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": None, "threads": torch.get_num_threads()}
    if kind == "cuda":
        major, minor = torch.cuda.get_device_capability(0)
        arches = torch.cuda.get_arch_list()
        native = any(arch.startswith(f"sm_{major}") and arch.rstrip("af")[len(f"sm_{major}") :] <= str(minor) for arch in arches)
        return facts | {
            "cudnn": str(torch.backends.cudnn.version()),
            "device_name": torch.cuda.get_device_name(0),
            "compute_capability": f"{major}.{minor}",
            "torch_architectures": " ".join(arches),
            "native_code": "yes" if native else "no",
            "attention_dtype": "bfloat16" if major >= 8 else "float16",
        }
    return facts | {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "attention_dtype": "bfloat16" if fast_bf16() else "float32",
    }


def fast_bf16() -> bool:
    """The CPU multiplies bfloat16 in hardware."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)
