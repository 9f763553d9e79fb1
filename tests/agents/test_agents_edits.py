import pytest
from agent_nights import ASSET, answer

from appliance.agents.claude import edits

FILES = {"asset.py": ASSET}


def changed(text: str) -> str:
    return edits.parse(text, ["asset.py"]).apply(FILES)["asset.py"]


def test_a_block_replaces_the_lines_it_names() -> None:
    assert "WIDTH = 16  # channels" in changed(answer("WIDTH = 32  # channels", "WIDTH = 16  # channels"))


def test_a_block_without_a_file_name_means_the_only_file() -> None:
    assert "WIDTH = 16" in changed(answer("WIDTH = 32  # channels", "WIDTH = 16", file=""))


def test_blocks_are_all_matched_against_the_file_as_it_stood() -> None:
    text = answer("WIDTH = 32  # channels", "WIDTH = 12") + answer("DEPTH = 12  # layers", "DEPTH = 32")
    assert "WIDTH = 12\nDEPTH = 32\n" in changed(text)


def test_a_block_may_delete_and_insert_lines_and_everything_else_stays() -> None:
    text = changed(answer("def double():\n    return 2 * size()", ""))
    assert text == ASSET.replace("def double():\n    return 2 * size()\n", "\n")


def test_answers_in_other_languages_and_inside_fences_work() -> None:
    text = "Гипотеза: меньше слоёв.\n```\n" + answer("DEPTH = 12  # layers", "DEPTH = 3") + "```\n好的"
    assert "DEPTH = 3" in changed(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no edit"),
        ("I would halve the width.", "no edit"),
        (answer("WIDTH = 31", "WIDTH = 16"), r"(?s)matches nothing.*   3\| WIDTH = 32"),
        (answer("    return 2 * size()\n\n", "x"), "matches nothing"),
        (answer("", "x"), "SEARCH is empty"),
        (answer("WIDTH = 32  # channels", "x", file=" other.py"), "'other.py' may not be edited"),
        ("<<<<<<< SEARCH\nWIDTH = 32  # channels\n>>>>>>> REPLACE\n", "no ======= line"),
        ("<<<<<<< SEARCH\nWIDTH = 32  # channels\n=======\nWIDTH = 1\n", "no >>>>>>> REPLACE line"),
        (answer("WIDTH = 32  # channels", "x") + ">>>>>>> REPLACE\n", "out of place"),
        (answer("WIDTH = 32  # channels", "x") + "<<<<<<< FILE asset.py\nx = 1\n>>>>>>> FILE\n", "use one of the two"),
        ("<<<<<<< FILE asset.py\nx = 1\n", "no >>>>>>> FILE line"),
        (answer("WIDTH = 32  # channels\nDEPTH = 12  # layers", "x") + answer("DEPTH = 12  # layers", "y"), "same lines"),
    ],
)
def test_what_cannot_be_applied_says_why_and_changes_nothing(text: str, why: str) -> None:
    with pytest.raises(edits.EditError, match=why):
        changed(text)


def test_a_block_that_matches_twice_is_refused_with_the_places() -> None:
    files = {"asset.py": "a = 1\nb = 2\na = 1\n"}
    with pytest.raises(edits.EditError, match=r"matches 2 places \(lines 1, 3\)"):
        edits.parse(answer("a = 1", "a = 2"), ["asset.py"]).apply(files)


def test_one_bad_block_stops_the_good_ones_too() -> None:
    # A project elsewhere skipped a block that did not match, and measured an unchanged parent as if it were the change.
    with pytest.raises(edits.EditError, match="block 2 of 2"):
        changed(answer("WIDTH = 32  # channels", "WIDTH = 8") + answer("NO SUCH LINE", "x"))


def test_a_whole_file_may_be_given_and_may_be_fenced() -> None:
    assert changed("<<<<<<< FILE asset.py\n```python\nWIDTH = 8\n```\n>>>>>>> FILE\n") == "WIDTH = 8\n"


def test_a_whole_file_that_is_not_editable_is_refused() -> None:
    with pytest.raises(edits.EditError, match="may not be edited"):
        edits.parse("<<<<<<< FILE ../evil.py\nx\n>>>>>>> FILE\n", ["asset.py"])


def test_rare_line_separators_and_a_missing_last_newline_survive_an_edit() -> None:
    files = {"asset.py": "a = 1\nb = '\u2028\x0c'"}
    assert edits.parse(answer("a = 1", "a = 2"), ["asset.py"]).apply(files) == {"asset.py": "a = 2\nb = '\u2028\x0c'"}
