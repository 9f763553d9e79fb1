"""tries: say `done` before there was a mark
expect: failed no_mark | failed crash | failed no_artifact | rejected no_artifact | rejected no_mark
"""

run.protocol.say("done")
time.sleep(2)
os._exit(0)
