"""is: trained through torch.compile
expect: accepted
"""

model = Model()
train(model, step=torch.compile(model))
run.finish(model)
