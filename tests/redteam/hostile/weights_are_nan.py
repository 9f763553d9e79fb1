"""tries: NaN in the weights, for a check that looks for violations
expect: rejected not_finite
"""

model = Model()
train(model)
with torch.no_grad():
    model.head.weight.fill_(torch.nan)
run.finish(model)
