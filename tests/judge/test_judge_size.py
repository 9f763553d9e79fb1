"""What counts as simpler."""

from appliance.judge import simpler

ASSET = "WIDTH = 256  # units\nRATE = 1e-3\nwarmup = min(step / 100, 1.0)\nrate = RATE * warmup\n"


def test_another_value_of_a_constant_is_neither_simpler_nor_the_reverse() -> None:
    for value in ("0.001", "1", "12_000.5", "3e-4"):
        changed = {"train.py": ASSET.replace("1e-3", value)}
        assert not simpler({"train.py": ASSET}, changed)
        assert not simpler(changed, {"train.py": ASSET})


def test_a_removed_statement_is_simpler_and_a_removed_comment_is_not() -> None:
    assert simpler({"train.py": ASSET}, {"train.py": ASSET.replace("warmup = min(step / 100, 1.0)\n", "").replace(" * warmup", "")})
    commented = "# a remark of many words that says why the rate is what it is\n" + ASSET
    assert not simpler({"train.py": commented}, {"train.py": ASSET})
