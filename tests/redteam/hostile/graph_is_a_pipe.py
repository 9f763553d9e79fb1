"""tries: make graph.json a pipe that never ends
expect: rejected artifact_not_allowed | rejected no_artifact | failed no_artifact | failed startup_timeout
"""

os.mkfifo("/out/graph.json")
run.protocol.say("mark")
time.sleep(20)
