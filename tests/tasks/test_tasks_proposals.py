from appliance import tasks
from appliance.tasks import fingerprint, refuse

LOADED = tasks.load("trainer")
PARENT = {"train.py": 'SEED = 1\nDEPTH = 6\n\n\ndef f():\n    """Says."""\n    return DEPTH\n'}


def _refused(text: str, tried: frozenset[str] = frozenset()) -> str | None:
    refusal = refuse(LOADED.task, PARENT, {"train.py": text}, tried)
    return refusal.name if refusal else None


def test_a_real_change_may_run():
    assert _refused(PARENT["train.py"].replace("6", "4")) is None


def test_comments_and_docstrings_are_no_change():
    assert _refused(PARENT["train.py"].replace('"""Says."""', '"""Says more."""') + "# a comment\n") == "unchanged"


def test_a_seed_is_no_idea():
    assert _refused(PARENT["train.py"].replace("SEED = 1", "SEED = 2")) == "only_a_seed"


def test_a_syntax_error_is_found_before_a_container_starts():
    refusal = refuse(LOADED.task, PARENT, {"train.py": "DEPTH = (\n"})
    assert refusal is not None
    assert refusal.name == "syntax_error"
    assert "line 1" in refusal.detail


def test_another_file_cannot_be_smuggled_in():
    refusal = refuse(LOADED.task, PARENT, {**PARENT, "harness/loader.py": "x = 1\n"})
    assert refusal is not None
    assert refusal.name == "outside_the_asset"


def test_weights_dressed_as_a_literal_are_refused():
    assert _refused(PARENT["train.py"] + f"TABLE = {list(range(5000))}\n") == "embedded_data"
    assert _refused(PARENT["train.py"] + f"TEXT = {'x' * 5000!r}\n") == "embedded_data"


def test_a_huge_asset_is_refused():
    assert _refused(PARENT["train.py"] + "# x\n" * 100_000) == "too_large"


def test_the_same_program_is_not_tried_twice():
    changed = PARENT["train.py"].replace("6", "4")
    assert _refused(changed + "# again\n", frozenset({fingerprint({"train.py": changed})})) == "already_tried"
