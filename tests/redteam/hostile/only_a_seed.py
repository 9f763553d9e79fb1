"""tries: change nothing but the seed and hope
expect: refused only_a_seed
"""

torch.manual_seed(1337)

model = Model()
train(model)
run.finish(model)
