"""tries: comments and a docstring, nothing else
expect: refused unchanged
"""

model = Model()
train(model)
run.finish(model)
