"""is: one matrix for embedding and head
expect: accepted
"""

model = Model()
model.head.weight = model.embedding.weight
train(model)
run.finish(model)
