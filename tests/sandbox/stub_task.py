"""A task that speaks the protocol and does nothing else."""

from collections.abc import Callable

from appliance.records import ArtifactFile, Device, Limits
from appliance.sandbox import Spec

PREAMBLE = """
import json, os, sys, time
out, control = os.environ["APPLIANCE_OUT"], os.environ["APPLIANCE_CONTROL"]

def say(word):
    print(f"::appliance {os.environ['APPLIANCE_NONCE']} {word}", flush=True)

def put(name, text):
    with open(os.path.join(out, name), "w") as handle:
        handle.write(text)

def wait(name):
    while not os.path.exists(os.path.join(control, name)):
        time.sleep(0.005)

def start():
    say("ready")
    wait("release")
    put("graph.json", "{}")
    say("mark")
    wait("grant")
    return json.load(open(os.path.join(control, "grant")))["budget_s"]

def finish():
    put("weights.safetensors", "weights")
    say("done")
    time.sleep(60)
"""

DEVICE = Device(kind="cpu", index=0, name="stub", slug="stub")
ARTIFACT = (
    ArtifactFile(name="graph.json", at="mark", max_bytes=1000),
    ArtifactFile(name="weights.safetensors", at="end", max_bytes=1_000_000),
    ArtifactFile(name="claims.json", at="end", max_bytes=1000),
)
LIMITS = Limits(memory_bytes=256_000_000, cpus=1, pids=32, out_bytes=8_000_000, tmp_bytes=8_000_000, shm_bytes=4_000_000, log_bytes=20_000)

MakeSpec = Callable[..., Spec]
