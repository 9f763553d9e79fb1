"""tries: a graph of a million brackets
expect: rejected artifact_not_allowed
"""

open("/out/graph.json", "w").write("[" * 1_000_000)
run.protocol.say("mark")
time.sleep(20)
