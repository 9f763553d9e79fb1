"""tries: stop and wait to be forgotten
expect: failed *
"""

import signal

model = Model()
run.start(model)
os.kill(os.getpid(), signal.SIGSTOP)
