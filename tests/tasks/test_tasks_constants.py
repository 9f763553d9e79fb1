import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.tasks import read_constants, replace_constants

TEXT = '''"""A docstring with DEPTH = 9 in it."""
DEPTH = 6  # layers – with a dash outside ASCII
WIDTH: int = 256
RATE = 1e-3
NAME = "wide"
COMPILE = False
_PRIVATE = 1
lower = 2
COMPUTED = DEPTH * 2
if True:
    NESTED = 3
'''


def test_only_module_level_literals_in_capitals_are_constants():
    assert read_constants({"train.py": TEXT}) == {"DEPTH": 6, "WIDTH": 256, "RATE": 1e-3, "NAME": "wide", "COMPILE": False}


def test_replacing_changes_the_literal_and_nothing_else():
    changed = replace_constants({"train.py": TEXT}, {"DEPTH": 2, "NAME": "small"})["train.py"]
    assert changed == TEXT.replace("DEPTH = 6 ", "DEPTH = 2 ").replace('"wide"', '"small"')


def test_an_unknown_constant_is_named():
    with pytest.raises(UsageError, match="HEIGHT"):
        replace_constants({"train.py": TEXT}, {"HEIGHT": 1})


@given(
    st.fixed_dictionaries(
        {"DEPTH": st.integers(-99, 10**9), "RATE": st.floats(allow_nan=False, allow_infinity=False), "NAME": st.text(max_size=20)}
    )
)
def test_what_is_put_in_is_read_back(values: dict[str, int | float | str]):
    changed = replace_constants({"train.py": TEXT}, values)
    ast.parse(changed["train.py"])
    negative = {name for name, value in values.items() if isinstance(value, int | float) and value < 0}
    read = read_constants(changed)
    for name, value in values.items():
        assert read[name] == value, negative


def test_a_file_that_does_not_parse_has_no_constants():
    assert read_constants({"train.py": "DEPTH = ("}) == {}
