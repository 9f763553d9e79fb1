"""tries: train for as long as the budget before the clock starts
expect: harmless | failed startup_timeout
"""

model = Model()
batches = run.loader(rows=16, sequence_length=64, vocab_size=V)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
end = time.monotonic() + 12
while time.monotonic() < end:
    inputs, targets = next(batches)
    F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
    optimizer.step()
    optimizer.zero_grad()
train(model)
run.finish(model)
