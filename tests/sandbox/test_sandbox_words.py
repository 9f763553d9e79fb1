"""Words for the host, and the log around them."""

from appliance.sandbox.words import FREE_BYTES, LINE_BYTES, Log, clean


def words(log: Log) -> list[tuple[str, str]]:
    return [(word.name, word.argument) for word in list(log.words.queue)]


def test_a_word_is_a_whole_line_of_stdout_with_the_nonce() -> None:
    log = Log("abc", 1000)
    log.feed(1, b"hello\n::appliance abc ready\n::appliance abc ex")
    log.feed(1, b"it 3\n")
    log.feed(1, b"::appliance xyz done\n x::appliance abc done\nnot yet ::appliance abc done\n")
    log.feed(2, b"::appliance abc done\n")
    assert words(log) == [("ready", ""), ("exit", "3")]
    assert "::appliance xyz done" in log.tail()


def test_a_carriage_return_does_not_begin_a_line() -> None:
    log = Log("abc", 1000)
    log.feed(1, b"50 %\r::appliance abc done\n")
    assert words(log) == []


def test_the_middle_of_a_long_line_holds_no_word() -> None:
    log = Log("abc", 100_000)
    log.feed(1, b"x" * LINE_BYTES + b"::appliance abc done\n")
    assert words(log) == []


def test_a_log_keeps_its_end() -> None:
    log = Log("abc", 1000)
    for number in range(1000):
        log.feed(1, f"line {number}\n".encode())
    assert log.tail().endswith("line 999")
    assert len(log.tail()) <= 1000
    assert log.dropped_bytes > 5000


def test_a_line_that_never_ends_is_capped_too() -> None:
    log = Log("abc", 1000)
    for _ in range(1000):
        log.feed(1, b"x" * 10_000)
    assert len(log.tail()) <= 1000


def test_a_flood_is_slowed_down() -> None:
    log = Log("abc", 1000)
    assert log.feed(1, b"x" * 1000) == 0
    log.feed(1, b"x" * FREE_BYTES)
    assert log.feed(1, b"x" * 1000) > 0


def test_a_log_is_text_without_tricks() -> None:
    assert clean(b"\x1b[31mred\x1b[0m \x1b]0;title\x07ok\x00\x08") == "red ok"
    assert clean(b"10 %\r20 %\r\n") == "10 %\n20 %\n"
    assert clean("a\u202egnp.exe\u2066\ufeff".encode()) == "agnp.exe"
    assert clean(b"\xff\xfe<b>") == "\ufffd\ufffd<b>"
    assert clean(b"a\tb\nc\x9b31m") == "a\tb\nc\ufffd31m"
