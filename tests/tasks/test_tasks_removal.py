"""Taking one change out of what several made."""

from appliance import tasks

BASE = "WIDTH = 256  # channels\nDEPTH = 7\nRATE = 0.5\n\n\ndef size():\n    return WIDTH * DEPTH\n\n\ndef loss():\n    return RATE\n"


def _asset(text: str) -> dict[str, str]:
    return {"asset.py": text}


def test_a_constant_goes_back_and_a_later_one_stays():
    first = BASE.replace("WIDTH = 256", "WIDTH = 128")
    winner = first.replace("DEPTH = 7", "DEPTH = 4")
    removal = tasks.without(_asset(winner), _asset(BASE), _asset(first))
    assert removal == tasks.Removal(_asset(BASE.replace("DEPTH = 7", "DEPTH = 4")))


def test_a_constant_that_was_set_again_cannot_be_taken_out():
    first = BASE.replace("WIDTH = 256", "WIDTH = 128")
    winner = first.replace("WIDTH = 128", "WIDTH = 64")
    removal = tasks.without(_asset(winner), _asset(BASE), _asset(first))
    assert removal.files is None
    assert removal.note == "a later change set WIDTH again"


def test_of_several_constants_those_that_still_stand_go_back_and_the_rest_is_said():
    first = BASE.replace("WIDTH = 256", "WIDTH = 128").replace("DEPTH = 7", "DEPTH = 4")
    winner = first.replace("WIDTH = 128", "WIDTH = 64")
    removal = tasks.without(_asset(winner), _asset(BASE), _asset(first))
    assert removal.files == _asset(winner.replace("DEPTH = 4", "DEPTH = 7"))
    assert removal.note == "WIDTH stays as a later change set it"


def test_one_and_one_point_nought_are_two_values():
    first = BASE.replace("DEPTH = 7", "DEPTH = 1")
    winner = first.replace("DEPTH = 1", "DEPTH = 1.0")
    assert tasks.without(_asset(winner), _asset(BASE), _asset(first)).files is None


def test_lines_that_were_added_changed_and_deleted_go_back_beside_later_changes_elsewhere():
    first = BASE.replace("def size():\n    return WIDTH * DEPTH\n\n\n", "").replace("return RATE", "scale = 2\n    return scale * RATE")
    winner = "import math\n\n" + first.replace("WIDTH = 256", "WIDTH = 64")
    removal = tasks.without(_asset(winner), _asset(BASE), _asset(first))
    assert removal == tasks.Removal(_asset("import math\n\n" + BASE.replace("WIDTH = 256", "WIDTH = 64")))


def test_lines_that_a_later_change_built_on_stay_and_it_is_said():
    first = BASE.replace("return RATE", "scale = 2\n    return scale * RATE")
    winner = first.replace("scale = 2", "scale = 3")
    removal = tasks.without(_asset(winner), _asset(BASE), _asset(first))
    assert removal == tasks.Removal(None, "later changes touch the same lines")


def test_lines_do_not_come_back_where_their_neighbour_is_gone():
    first = BASE.replace("def size():\n    return WIDTH * DEPTH\n\n\n", "")
    winner = first.replace("\n\ndef loss():\n    return RATE\n", "")
    assert tasks.without(_asset(winner), _asset(BASE), _asset(first)).files is None


def test_the_only_change_leaves_the_baseline():
    winner = BASE.replace("return RATE", "return 2 * RATE")
    assert tasks.without(_asset(winner), _asset(BASE), _asset(winner)).files == _asset(BASE)
