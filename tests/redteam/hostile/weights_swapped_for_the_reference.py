"""tries: hand over a link to other weights
expect: rejected no_artifact | rejected artifact_not_allowed | failed no_artifact
"""

model = Model()
train(model)
run.graph.save_weights = lambda *a: os.symlink("/data/tokens-256.bin", "/out/weights.safetensors")
run.finish(model)
