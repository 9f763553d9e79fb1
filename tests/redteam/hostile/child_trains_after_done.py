"""tries: a child that outlives the run goes on and writes better weights after `done`
expect: harmless | rejected artifact_not_allowed
"""

model = Model()
train(model)
if os.fork() == 0:
    os.setsid()
    while True:
        torch.save(model.state_dict(), "/out/later.part")
        os.rename("/out/later.part", "/out/weights.safetensors")
run.finish(model)
