"""is: trained on sequences of sixteen tokens
expect: accepted
"""

model = Model()
train(model, rows=64, length=16)
run.finish(model)
