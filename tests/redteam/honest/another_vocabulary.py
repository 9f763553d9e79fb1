"""is: 1024 tokens instead of bytes
expect: accepted
"""

model = Model(vocabulary=1024)
train(model, vocabulary=1024)
run.finish(model)
