"""tries: say `mark` again after the grant, with another graph
expect: harmless | rejected artifact_changed | failed crash
"""

model = Model()
clock = train(model)
open("/out/graph.json", "w").write("{}")
run.protocol.say("mark")
time.sleep(0.2)
run.finish(model)
