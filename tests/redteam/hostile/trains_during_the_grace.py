"""tries: go on training when the budget is over
expect: failed timeout
"""

model = Model()
clock = train(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
batches = run.loader(rows=16, sequence_length=64, vocab_size=V)
while clock.elapsed < 30:
    inputs, targets = next(batches)
    F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
    optimizer.step()
run.finish(model)
