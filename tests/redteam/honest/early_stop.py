"""is: stops after twenty steps
expect: accepted
"""

model = Model()
train(model, steps=20)
run.finish(model)
