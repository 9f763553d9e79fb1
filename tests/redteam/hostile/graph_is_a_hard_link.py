"""tries: two names for one file, to change it after the check
expect: harmless | rejected artifact_not_allowed | rejected no_artifact
"""

model = Model()
whole = run.graph.export


def export(*args, **kwargs):
    info = whole(*args, **kwargs)
    os.link("/out/graph.json", "/out/other.json")
    return info


run.graph.export = export
train(model)
open("/out/other.json", "w").write("{}")
run.finish(model)
