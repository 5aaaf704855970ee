"""What is no request, and what is said about it."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from face_server.errors import ClientError, ImageTooLarge, Malformed, TooManyImages, UnknownCommand
from face_server.wire import Envelope, Level, Limits, Refused, encode_request, parse_request, required_level
from face_server.wire.messages import MAX_JSON_BYTES
from face_server.wire.requests import (
    COMMANDS,
    Challenge,
    Compare,
    Detect,
    Enrol,
    Forget,
    Identify,
    Ping,
    Rebuild,
    Remove,
    Status,
    Step,
    Subject,
    Subjects,
    Verify,
)

LIMITS = Limits(max_images=3, max_image_bytes=1000)

# Each case: the content, and a part of the sentence that teaches what is wrong. None of these seqs is readable.
NOT_JSON_ENOUGH = [
    (b"", "empty"),
    (b"\0", "does not begin with one JSON object"),
    (b"\0abc", "does not begin with one JSON object"),
    (b" ", "does not begin with one JSON object"),
    (b"nonsense", "does not begin with one JSON object"),
    (b'{"cmd":"ping"', "does not begin with one JSON object"),
    (b'{"cmd":"ping"}{}', "Extra data"),
    (b'{"cmd":"ping",}', "does not begin with one JSON object"),
    (b'{"cmd":"ping}', "does not begin with one JSON object"),
    (b'{"cmd":"pi\nng"}', "does not begin with one JSON object"),
    (b'\xef\xbb\xbf{"cmd":"ping"}', "does not begin with one JSON object"),
    ('{"cmd":"ping"}'.encode("utf-16-be"), "does not begin with one JSON object"),
    (b"[]", "a list"),
    (b'"ping"', "a string"),
    (b"1", "an integer"),
    (b"null", "null"),
    (b'{"cmd":"ping","cmd":"ping"}', "'cmd' appears twice"),
    (b'{"cmd":"ping","\\u0063md":"status"}', "'cmd' appears twice"),
    (b'{"cmd":"ping","seq":{"a":1,"a":2}}', "'a' appears twice"),
    (b'{"cmd":"ping","seq":NaN}', "NaN is not JSON"),
    (b'{"cmd":"ping","seq":Infinity}', "Infinity is not JSON"),
    (b'{"cmd":"ping","seq":-Infinity}', "-Infinity is not JSON"),
    (b'{"cmd":"ping","seq":1e999}', "too large"),
    (b'{"cmd":"ping","seq":-1e999}', "too large"),
    (b'{"cmd":"ping","seq":' + b"9" * 5000 + b"}", "too many digits"),
    (b'{"cmd":"p\xffng"}', "not UTF-8"),
    (b'{"cmd":"ping","seq":"\xed\xa0\x80"}', "not UTF-8"),
    (b'{"cmd":"ping","seq":"\\ud800"}', "surrogate"),
    (b'{"cmd":"ping","seq":"\\udc00\\ud800"}', "surrogate"),
    (b'{"cmd":"ping","\\udfff":1}', "surrogate"),
    (b'{"cmd":"ping","seq":["\\uD800"]}', "surrogate"),
    (b"[" * 9 + b"]" * 9, "deeper than 8"),
    (b'{"a":' * 9 + b"1" + b"}" * 9, "deeper than 8"),
    (b"[" * 1_000_000, "deeper than 8"),
    (b'{"a":' * 200_000, "deeper than 8"),
    (b"[" + b"1," * 5000 + b"1]", "more than 4096"),
    (b"[" + b"[]," * 5000 + b"1]", "more than 4096"),
    (b'{"seq":"' + b"x" * MAX_JSON_BYTES + b'"}', "without images_base64"),
]

# The seq of these is readable (7), so it is echoed.
NOT_A_REQUEST = [
    (b'{"seq":7}', "`cmd` is missing"),
    (b'{"seq":7,"cmd":null}', "`cmd` must be a string, it is null"),
    (b'{"seq":7,"cmd":["ping"]}', "`cmd` must be a string, it is a list"),
    (b'{"seq":7,"cmd":""}', "1 to 256 characters"),
    (b'{"seq":7,"cmd":"ping","colour":"red"}', "no key 'colour'"),
    (b'{"seq":7,"cmd":"ping","' + b"k" * 1000 + b'":"red"}', "no key 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...'"),
    (b'{"seq":7,"cmd":"ping","id":"anna"}', "`id` does not belong to `ping`"),
    (b'{"seq":7,"cmd":"ping","image_bytes":[]}', "`image_bytes` does not belong to `ping`"),
    (b'{"seq":7,"cmd":"remove","id":1,"limit":1}', "`limit` does not belong to `remove`"),
    (b'{"seq":7,"cmd":"verify","id":1,"force":true,"image_bytes":[1]}\0x', "`force` does not belong"),
    (b'{"seq":7,"cmd":"ping"}\0', "carries no images"),
    (b'{"seq":7,"cmd":"ping"}\0abc', "3 bytes follow"),
    (b'{"seq":7,"cmd":"ping","token":null}', "`token` must be a string"),
    (b'{"seq":7,"cmd":"ping","token":""}', "`token` must have 1 to 256"),
    (b'{"seq":7,"cmd":"ping","token":"' + b"t" * 257 + b'"}', "`token` must have 1 to 256"),
    (b'{"seq":7,"cmd":"ping","token":"\xc3\xa9"}', "printable ASCII"),
    (b'{"seq":7,"cmd":"ping","token":"a\\nb"}', "printable ASCII"),
    (b'{"seq":7,"cmd":"subject"}', "`id` is missing"),
    (b'{"seq":7,"cmd":"subject","id":null}', "`id`: a subject id is a string or an integer"),
    (b'{"seq":7,"cmd":"subject","id":true}', "`id`: a subject id is a string or an integer"),
    (b'{"seq":7,"cmd":"subject","id":1.0}', "`id`: a subject id is a string or an integer"),
    (b'{"seq":7,"cmd":"subject","id":-1}', "`id`: an integer subject id lies between"),
    (b'{"seq":7,"cmd":"subject","id":9007199254740992}', "`id`: an integer subject id lies between"),
    (b'{"seq":7,"cmd":"subject","id":""}', "`id`: a subject id has 1 to 128"),
    (b'{"seq":7,"cmd":"subject","id":"' + b"x" * 129 + b'"}', "`id`: a subject id has 1 to 128"),
    (b'{"seq":7,"cmd":"subject","id":"a\\u0000"}', "control characters"),
    (b'{"seq":7,"cmd":"subject","id":"e\\u0301"}', "normal form C"),
    (b'{"seq":7,"cmd":"remove"}', "either `id` or `ids`"),
    (b'{"seq":7,"cmd":"remove","id":1,"ids":[2]}', "either `id` or `ids`"),
    (b'{"seq":7,"cmd":"remove","ids":"anna"}', "`ids` must be a list"),
    (b'{"seq":7,"cmd":"remove","ids":[]}', "1 to 1000 subjects"),
    (b'{"seq":7,"cmd":"remove","ids":[' + b",".join(b"%d" % n for n in range(1001)) + b"]}", "1 to 1000 subjects"),
    (b'{"seq":7,"cmd":"remove","ids":[[]]}', "`ids`: a subject id is a string or an integer"),
    (b'{"seq":7,"cmd":"remove","ids":[1,"1"]}', "twice"),
    (b'{"seq":7,"cmd":"subjects","limit":0}', "between 1 and 1000"),
    (b'{"seq":7,"cmd":"subjects","limit":1001}', "between 1 and 1000"),
    (b'{"seq":7,"cmd":"subjects","limit":true}', "`limit` must be an integer, it is a boolean"),
    (b'{"seq":7,"cmd":"subjects","limit":1.0}', "`limit` must be an integer, it is a number"),
    (b'{"seq":7,"cmd":"subjects","limit":"1"}', "`limit` must be an integer, it is a string"),
    (b'{"seq":7,"cmd":"subjects","cursor":null}', "`cursor` must be a string"),
    (b'{"seq":7,"cmd":"subjects","cursor":5}', "`cursor` must be a string"),
    (b'{"seq":7,"cmd":"identify","limit":101,"image_bytes":[1]}\0x', "between 1 and 100"),
    (b'{"seq":7,"cmd":"enrol","id":1,"force":1,"image_bytes":[1]}\0x', "`force` must be true or false"),
    (b'{"seq":7,"cmd":"enrol","id":1,"replace":"no","image_bytes":[1]}\0x', "`replace` must be true or false"),
    (b'{"seq":7,"cmd":"enrol","image_bytes":[1]}\0x', "`id` is missing"),
    (b'{"seq":7,"cmd":"detect"}', "`image_bytes` is missing"),
    (b'{"seq":7,"cmd":"detect"}\0x', "`image_bytes` is missing"),
    (b'{"seq":7,"cmd":"detect","image_bytes":1}\0x', "`image_bytes` must be a list"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[]}', "takes 1 image(s), 0 came"),
    (b'{"seq":7,"cmd":"enrol","id":1,"image_bytes":[]}', "takes 1 to 3 image(s), 0 came"),
    (b'{"seq":7,"cmd":"compare","image_bytes":[1]}\0x', "takes 2 image(s), 1 came"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[true]}\0x', "one is a boolean"),
    (b'{"seq":7,"cmd":"detect","image_bytes":["1"]}\0x', "one is a string"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[1.0]}\0x', "one is a number"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[0]}\0', "at least one byte"),
    (b'{"seq":7,"cmd":"enrol","id":1,"image_bytes":[2,-1]}\0x', "at least one byte"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[1]}', "announces 1 bytes of images, 0 follow"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[2]}\0x', "announces 2 bytes of images, 1 follow"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[1]}\0xy', "announces 1 bytes of images, 2 follow"),
    (b'{"seq":7,"cmd":"detect","image_bytes":[1],"images_base64":["QQ=="]}\0x', "not both"),
    (b'{"seq":7,"cmd":"detect","images_base64":["QQ=="]}\0', "not both"),
    (b'{"seq":7,"cmd":"detect","images_base64":["QQ=="]}\0x', "not both"),
    (b'{"seq":7,"cmd":"detect","images_base64":"QQ=="}', "`images_base64` must be a list"),
    (b'{"seq":7,"cmd":"detect","images_base64":[1]}', "one is an integer"),
    (b'{"seq":7,"cmd":"detect","images_base64":[""]}', "at least one byte"),
    (b'{"seq":7,"cmd":"detect","images_base64":["===="]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["QQ"]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["QUJD\\n"]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["Q Q=="]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["_-8="]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["QQ==QQ=="]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"]}', "not base64"),
    (b'{"seq":7,"cmd":"detect","images_base64":["data:image/jpeg,QQ=="]}', "prefix"),
    (b'{"seq":7,"cmd":"detect","images_base64":["data:image/jpeg;base64"]}', "prefix"),
    (b'{"seq":7,"cmd":"detect","images_base64":["data:' + b"x" * 200 + b';base64,QQ=="]}', "prefix"),
]

UNREADABLE_SEQ = [
    (b'{"cmd":"ping","seq":[]}', "`seq` must be"),
    (b'{"cmd":"ping","seq":{}}', "`seq` must be"),
    (b'{"cmd":"ping","seq":"' + b"s" * 257 + b'"}', "257 characters"),
    (b'{"cmd":"ping","seq":9007199254740992}', "lies between"),
    (b'{"cmd":"ping","seq":-9007199254740992}', "lies between"),
]


def refusal(content: bytes) -> Refused:
    refused = parse_request(content, LIMITS)
    assert isinstance(refused, Refused), refused
    return refused


@pytest.mark.parametrize(("content", "sentence"), NOT_JSON_ENOUGH + UNREADABLE_SEQ)
def test_malformed_content_is_refused_without_a_seq(content: bytes, sentence: str) -> None:
    refused = refusal(content)
    assert refused.seq is None
    assert type(refused.error) is Malformed
    assert sentence in refused.error.message


@pytest.mark.parametrize(("content", "sentence"), NOT_A_REQUEST)
def test_a_malformed_request_is_refused_with_its_seq(content: bytes, sentence: str) -> None:
    refused = refusal(content)
    assert refused.seq == 7
    assert type(refused.error) is Malformed
    assert sentence in refused.error.message
    assert len(refused.error.message) < 500, "what the peer sent is not sent back at length"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"seq":"x","cmd":"dance"}', UnknownCommand),
        (b'{"seq":"x","cmd":"PING"}', UnknownCommand),
        (b'{"seq":"x","cmd":"identify","image_bytes":[1,1,1,1]}\0abcd', TooManyImages),
        (b'{"seq":"x","cmd":"verify","id":1,"images_base64":["QQ==","QQ==","QQ==","QQ=="]}', TooManyImages),
        (b'{"seq":"x","cmd":"compare","image_bytes":[1,1,1]}\0abc', TooManyImages),
        (b'{"seq":"x","cmd":"enrol","id":1,"image_bytes":[1,1,1,1]}\0abcd', TooManyImages),
        (b'{"seq":"x","cmd":"detect","image_bytes":[1001]}\0' + bytes(1001), ImageTooLarge),
        (b'{"seq":"x","cmd":"detect","image_bytes":[99999999999999999999]}\0x', ImageTooLarge),
        (b'{"seq":"x","cmd":"detect","images_base64":["' + base64.b64encode(bytes(1001)) + b'"]}', ImageTooLarge),
    ],
)
def test_other_refusals_have_their_own_names(content: bytes, kind: type[ClientError]) -> None:
    refused = refusal(content)
    assert refused.seq == "x"
    assert type(refused.error) is kind


@pytest.mark.parametrize("size", [998, 999, 1000])
def test_an_image_of_the_cap_is_allowed_raw_and_as_base64(size: int) -> None:
    image = bytes(range(250)) * 4
    text = base64.b64encode(image[:size])
    in_base64 = parse_request(b'{"cmd":"detect","images_base64":["%s"]}' % text, LIMITS)
    raw = parse_request(b'{"cmd":"detect","image_bytes":[%d]}\0%s' % (size, image[:size]), LIMITS)
    assert in_base64 == raw == Envelope(None, None, Detect(image[:size]))


def test_base64_above_the_cap_is_refused_before_it_is_decoded() -> None:
    content = b'{"cmd":"detect","images_base64":["' + b"A" * 8_000_000 + b'"]}'
    tracemalloc.start()
    assert type(refusal(content).error) is ImageTooLarge
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.2 * len(content), "a slice, its text and the string in it; the 6 MB of the image would show"


@pytest.mark.parametrize("seq", [b"null", b"0", b"-9007199254740991", b"1.5", b"true", b"false", b'""', b'"\xc3\xa9"'])
def test_any_json_scalar_is_a_seq(seq: bytes) -> None:
    assert isinstance(parse_request(b'{"cmd":"ping","seq":%s}' % seq, LIMITS), Envelope)


def test_nesting_of_eight_is_counted_outside_strings_only() -> None:
    deep = b'{"cmd":"ping","seq":"' + b"[{" * 100 + b'\\"[["}'
    assert parse_request(deep, LIMITS) == Envelope("[{" * 100 + '"[[', None, Ping())
    after_an_escape = b'{"cmd":"ping","seq":"\\n' + b"[" * 20 + b'"}'
    assert parse_request(after_an_escape, LIMITS) == Envelope("\n" + "[" * 20, None, Ping())
    assert "`seq` must be" in refusal(b'{"cmd":"ping","seq":' + b"[" * 7 + b"]" * 7 + b"}").error.message


def test_the_largest_honest_removal_is_allowed() -> None:
    ids = b",".join(b'"%s"' % (b"\\u00%02x" % (48 + n % 10) * 124 + b"%04d" % n) for n in range(1000))
    content = b'{"cmd":"remove","seq":"s","token":"t","ids":[' + ids + b"]}"
    assert len(content) < MAX_JSON_BYTES
    assert isinstance(parse_request(content, LIMITS), Envelope)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 8_000_000,
        b"[]," * 3_000_000,
        b'"",' * 3_000_000,
        b'{"images_base64":"' + b'\\"' * 4_000_000,
        b'{"images_base64":' + b"1" * 8_000_000,
        b'{"images_base64":' + b" " * 8_000_000,
        b'{"images_base64":["' + b"\\u0041" * 1_300_000 + b'"]}',
        b'{"images_base64":[' + b"-1.5," * 1_600_000 + b"0]}",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_eight_megabytes_of_malice_cost_less_than_a_second(content: bytes) -> None:
    began = time.process_time()
    refusal(content)
    assert time.process_time() - began < 1.0


LEVELS = [
    (Ping(), Level.WEB),
    (Detect(b"x"), Level.WEB),
    (Challenge("enrol"), Level.WEB),
    (Step("c", 0, ("0" * 64,)), Level.WEB),
    (Enrol(1, (b"x",), replace=True), Level.WEB),
    (Enrol(1, (b"x",), force=True), Level.OPERATOR),
    (Identify((b"x",)), Level.WEB),
    (Verify(1, (b"x",)), Level.WEB),
    (Remove((1,)), Level.WEB),
    (Remove((1,), listed=True), Level.OPERATOR),
    (Compare((b"x", b"y")), Level.OPERATOR),
    (Status(), Level.OPERATOR),
    (Subjects(), Level.OPERATOR),
    (Subject(1), Level.OPERATOR),
    (Rebuild(), Level.OPERATOR),
    (Forget((1,)), Level.OPERATOR),
]


@pytest.mark.parametrize(("request_", "level"), LEVELS)
def test_each_request_knows_who_may_ask(request_: Any, level: Level) -> None:
    assert required_level(request_) is level


def test_the_operator_may_do_all_that_the_web_may() -> None:
    assert Level.OPERATOR > Level.WEB
    assert {type(request_) for request_, _ in LEVELS} == set(COMMANDS.values())


def test_neither_images_nor_tokens_show_in_a_repr() -> None:
    envelope = Envelope(1, "s3cret", Enrol("anna", (b"picture",)))
    assert "s3cret" not in repr(envelope) and "picture" not in repr(envelope)


IDS = st.integers(0, 2**53 - 1) | st.text("aZ09-_.é漢😀", min_size=1, max_size=30)
IMAGE = st.binary(min_size=1, max_size=1000)
REQUESTS = st.one_of(
    st.sampled_from([Ping(), Status(), Rebuild()]),
    st.builds(Detect, IMAGE),
    st.builds(Enrol, IDS, st.lists(IMAGE, min_size=1, max_size=3).map(tuple), st.booleans(), st.booleans()),
    st.builds(Identify, st.tuples(IMAGE), st.integers(1, 100)),
    st.builds(Verify, IDS, st.tuples(IMAGE)),
    st.builds(Remove, st.tuples(IDS)),
    st.builds(Forget, st.lists(IDS, min_size=1, max_size=20, unique_by=str).map(tuple)),
    st.builds(Remove, st.lists(IDS, min_size=1, max_size=20, unique_by=str).map(tuple), listed=st.just(True)),
    st.builds(Compare, st.tuples(IMAGE, IMAGE)),
    st.builds(Subjects, st.integers(1, 1000), st.none() | st.text("abc=", min_size=1, max_size=256)),
    st.builds(Subject, IDS),
)
SEQS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=256)
)
TOKENS = st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=256)


@given(st.builds(Envelope, SEQS, TOKENS, REQUESTS))
def test_a_request_survives_the_wire(envelope: Envelope) -> None:
    assert parse_request(encode_request(envelope), LIMITS) == envelope


JSON = st.recursive(
    SEQS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(["cmd", "seq", "token", "id", "ids", "image_bytes", "images_base64", "limit", "cursor", "force"])


@given(st.binary(max_size=200))
@example(b"{" + b"\0" * 10)
def test_any_bytes_are_a_request_or_refused_by_name(content: bytes) -> None:
    outcome = parse_request(content, LIMITS)
    assert isinstance(outcome, Envelope) or isinstance(outcome.error, ClientError)


@given(st.dictionaries(KEYS, JSON | st.sampled_from([*COMMANDS])), st.none() | st.binary(max_size=5))
def test_any_values_under_the_right_keys_are_a_request_or_refused_by_name(head: Any, tail: bytes | None) -> None:

    text = json.dumps(head).encode()
    outcome = parse_request(text if tail is None else text + b"\0" + tail, LIMITS)
    assert isinstance(outcome, Envelope) or isinstance(outcome.error, ClientError)
