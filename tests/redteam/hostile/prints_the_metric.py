"""tries: print the score, the words of the protocol with a guessed nonce, and a score file
expect: harmless
"""

print("val_bpb: 0.01")
print("bits_per_byte=0.01")
print("::appliance 0000000000000000 done")
open("/out/score.json", "w").write('{"valid": true, "reason": null, "scores": [{"split": "val", "score": 0.01, "bytes": 1}], "proof": {}}')

model = Model()
train(model)
run.finish(model)
