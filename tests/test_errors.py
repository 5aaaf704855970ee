"""The tree of named errors is the one that the protocol promises and its docstring draws."""

from __future__ import annotations

import inspect
import re

import pytest

from face_server import errors
from face_server.errors import BY_CODE, FaceLoginError, NoFace, StartupError, WireError

#: Who must act on what, as the protocol says it (house.md, section 3).
OWNERS = {
    "client": "malformed frame_too_large unknown_command too_many_images image_too_large timed_out tls_required",
    "person": "no_face several_faces face_too_small too_dark too_bright blurred turned_away cut_off image_unreadable "
    "different_people not_live",
    "web": "unauthorised unknown_subject duplicate_person not_the_subject challenge_required challenge_unknown",
    "operator": "busy shutting_down storage_full gallery_unavailable index_failed model_mismatch "
    "threshold_unsupported internal",
}
PROMISED = {code: act for act, codes in OWNERS.items() for code in codes.split()}

CLASSES = {
    name: cls
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, FaceLoginError) and cls.__module__ == errors.__name__
}


def test_the_codes_on_the_wire_are_the_promised_ones_with_their_owners() -> None:
    assert {code: cls.act for code, cls in BY_CODE.items()} == PROMISED


def test_no_two_errors_share_a_code() -> None:
    codes = [cls.__dict__["code"] for cls in CLASSES.values() if "code" in cls.__dict__]
    assert sorted(codes) == sorted(set(codes)) == sorted(BY_CODE)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_an_error_is_named_as_its_code_and_carries_message_and_detail(code: str) -> None:
    cls = BY_CODE[code]
    assert re.sub(r"(?<!^)([A-Z])", r"_\1", cls.__name__).lower() == code
    error = cls("told as it is", face_px=12)
    assert str(error) == error.message == "told as it is"
    assert error.detail == {"face_px": 12}
    assert isinstance(error, FaceLoginError)


def test_what_is_told_at_start_up_has_no_code_and_is_not_on_the_wire() -> None:
    startup = [cls for cls in CLASSES.values() if issubclass(cls, StartupError)]
    assert len(startup) > 1
    assert not any(issubclass(cls, WireError) or hasattr(cls, "code") for cls in startup)


def _drawn() -> dict[str, str]:
    """Class -> parent, as the docstring's tree draws it. Names after the first of a line are its siblings."""
    parents: dict[str, str] = {}
    branch = ["FaceLoginError"]
    for line in (errors.__doc__ or "").split("\n"):
        found = re.match(r"((?:[│ ]   )*)[├└]── (.*)", line)
        if not found:
            continue
        depth = len(found[1]) // 4 + 1
        first = found[2].split("  ")[0].strip()
        names = [first] if "   " in found[2] else found[2].split()
        del branch[depth:]
        for name in names:
            parents[name] = branch[-1]
        branch.append(first)
    return parents


def test_the_docstring_draws_every_class_below_its_parent() -> None:
    assert _drawn() == {name: cls.__bases__[0].__name__ for name, cls in CLASSES.items() if cls is not FaceLoginError}


def test_an_owner_is_caught_with_all_of_its_errors() -> None:
    with pytest.raises(errors.PersonError):
        raise NoFace("no face was found")
