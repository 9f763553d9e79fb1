"""tries: make graph.json a link to a file of the host
expect: rejected no_artifact | rejected artifact_not_allowed | failed no_artifact
"""

os.symlink("/etc/passwd", "/out/graph.json")
run.protocol.say("mark")
time.sleep(20)
