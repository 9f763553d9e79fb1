"""tries: a vocabulary that the evaluator has no byte table for
expect: rejected wrong_shape
"""

model = Model()
exported = Model(vocabulary=100)
model.export_model = lambda: exported
with torch.no_grad():
    train(model, steps=0)
run.finish(model)
