"""config.ini: its options, its limits, its old names, and that Python and PHP read the same out of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import re
import shutil
import string
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from daemons import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_server.config import ALIASES, SECTIONS, Config, load_config, options
from face_server.errors import ConfigError

OPTIONS = list(options())
Load = Callable[[str], Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a config.ini, byte for byte, and load it."""

    def write_and_load(text: str) -> Config:
        path = tmp_path / "config.ini"
        path.write_bytes(text.encode("utf-8"))
        return load_config(path)

    return write_and_load


def refusal(load: Load, text: str) -> str:
    """What a config.ini is refused with; it names the file."""
    with pytest.raises(ConfigError) as error:
        load(text)
    assert "config.ini" in str(error.value)
    return str(error.value)


def written(value: Any) -> str:
    """A value as config.ini spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "{}, {}".format(*value)
    if isinstance(value, float):
        return f"{value:.18f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


# --- what is there --------------------------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults_with_paths_beside_the_file(load: Load, tmp_path: Path) -> None:
    config = load("")
    assert config.source == tmp_path / "config.ini"
    for section, option in OPTIONS:
        default = tmp_path / option.default if isinstance(option.default, Path) else option.default
        assert getattr(getattr(config, section), option.name) == default, (section, option.name)


def test_the_shipped_file_loads_and_keeps_every_default() -> None:
    shipped, defaults = load_config(ROOT / "config.ini"), Config()
    for section, option in OPTIONS:
        default = getattr(getattr(defaults, section), option.name)
        default = ROOT / default if isinstance(default, Path) else default
        assert getattr(getattr(shipped, section), option.name) == default, (section, option.name)


def test_every_default_lies_within_its_own_limits(load: Load) -> None:
    lines = [f"[{section}]\n{option.name} = {written(option.default)}" for section, option in OPTIONS]
    for line in lines:
        load(line)


def test_a_file_may_set_every_option_at_once(load: Load) -> None:
    text = "\n".join(
        f"[{section}]\n" + "\n".join(f"{o.name} = {written(o.default)}" for s, o in OPTIONS if s == section)
        for section in SECTIONS
    )
    assert load(text) == load("")


@pytest.mark.parametrize(("section", "option"), OPTIONS, ids=lambda each: getattr(each, "name", each))
def test_every_option_has_help_and_a_section_that_says_what_it_is_for(
    section: str, option: dataclasses.Field[Any]
) -> None:
    assert option.metadata["help"]
    assert (SECTIONS[section].__doc__ or "").startswith(f"[{section}] ")


def test_the_config_cannot_be_changed_after_it_was_loaded(load: Load) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load("").decision.threshold = 0.0  # type: ignore[misc]


# --- limits ---------------------------------------------------------------------------------------------------------

BOUNDED = [(section, option) for section, option in OPTIONS if option.metadata["low"] is not None]
CHOSEN = [(section, option) for section, option in OPTIONS if option.metadata["choices"]]


def test_every_number_has_limits() -> None:
    unbounded = [(s, o.name) for s, o in OPTIONS if o.type in ("int", "float") and o.metadata["low"] is None]
    assert unbounded == []


@pytest.mark.parametrize(("section", "option"), BOUNDED, ids=lambda each: getattr(each, "name", each))
def test_a_number_is_taken_at_its_limits_and_refused_past_them(
    load: Load, section: str, option: dataclasses.Field[Any]
) -> None:
    low, high = option.metadata["low"], option.metadata["high"]
    for value in (low, high):
        assert getattr(getattr(load(f"[{section}]\n{option.name} = {written(value)}"), section), option.name) == value
    step = 1 if option.type == "int" else 1e-6
    for value in (low - step, high + step, 10**17, -(10**17)):
        message = refusal(load, f"[{section}]\n{option.name} = {written(value)}")
        assert f"[{section}] {option.name} = {written(value)}: must lie between {low} and {high}" in message


@pytest.mark.parametrize(("section", "option"), CHOSEN, ids=lambda each: getattr(each, "name", each))
def test_a_choice_is_one_of_its_words(load: Load, section: str, option: dataclasses.Field[Any]) -> None:
    for choice in option.metadata["choices"]:
        assert getattr(getattr(load(f"[{section}]\n{option.name} = {choice}"), section), option.name) == choice
    for wrong in ("", "other", option.default.upper()):
        message = refusal(load, f"[{section}]\n{option.name} = {wrong}")
        assert f"[{section}] {option.name} = {wrong}: must be one of {', '.join(option.metadata['choices'])}" in message


WRONG = {
    "bool": ("must be true or false", ["", "1", "0", "yes", "no", "on", "off", "True", "FALSE", "truefalse"]),
    "int": ("must be a whole number", ["", "1.0", "1e3", "1_000", "0x10", "+1", "1 0", "many", "\u0661", "9" * 19]),
    "float": (
        "must be a number such as 0.5",
        ["", "1e3", "1_0.0", ".5", "5.", "+1", "nan", "inf", "-inf", "0,5", "1 s", "\u0661"],
    ),
    "float | None": ("must be a number such as 0.5", ["1e3", ".5", "nan", "inf", "0,5", "none"]),
    "Point": ("must be ", ["", "1", "1,", ",1", "1,2,3", "a,b", "1 2", "nan, 1", "(1, 2)", "1e3, 2"]),
    "Path": ("must be a path", [""]),
}


@pytest.mark.parametrize(("section", "option"), OPTIONS, ids=lambda each: getattr(each, "name", each))
def test_a_value_of_another_type_is_refused_by_name(load: Load, section: str, option: dataclasses.Field[Any]) -> None:
    reason, values = WRONG.get(str(option.type), ("", []))
    for value in values:
        assert f"[{section}] {option.name} = {value}: {reason}" in refusal(
            load, f"[{section}]\n{option.name} = {value}"
        )
    assert values or option.type in ("str", "Path | None")


def test_no_number_is_ever_nan_or_infinite(load: Load) -> None:
    for word in ("nan", "NaN", "inf", "Infinity", "-inf", "1" * 400):
        refusal(load, f"[decision]\nthreshold = {word}")
    assert math.isfinite(load("[decision]\nthreshold = -0.25").decision.threshold)


# --- names ----------------------------------------------------------------------------------------------------------


def test_an_unknown_section_is_refused_with_those_there_are(load: Load) -> None:
    message = refusal(load, "[sever]\nport = 1\n")
    assert "unknown section [sever]" in message and "server, access, imaging" in message


@pytest.mark.parametrize("section", [*SECTIONS, *sorted({old for old, _ in ALIASES} - set(SECTIONS))])
def test_an_unknown_option_is_refused_with_those_there_are(load: Load, section: str) -> None:
    message = refusal(load, f"[{section}]\nprot = 1\n")
    known = [o.name for s, o in OPTIONS if s == section]
    known += [name for old, name in ALIASES if old == section and section not in SECTIONS]
    assert f"unknown option [{section}] prot; there are {', '.join(known)}" in message


def test_an_option_of_another_section_is_unknown(load: Load) -> None:
    assert "unknown option [server] threshold" in refusal(load, "[server]\nthreshold = 0.1")


#: The original system's name, the new one, and a value that is not the default where there is another.
RENAMED = {
    ("annoy", "index_path"): (("index", "path"), "old.ann"),
    ("annoy", "num_trees"): (("index", "trees"), "7"),
    ("annoy", "num_nn_nearst"): (("index", "neighbours"), "9"),
    ("lmdb", "lmdb_path"): (("gallery", "path"), "old/lmdb"),
    ("facedetect", "model"): (("embedding", "model"), "old.pb"),
    ("mtcnn", "model"): (("detection", "model"), "mtcnn"),
    ("alignment", "imgsize"): (("alignment", "affine3_size"), "112"),
    ("alignment", "left_eye"): (("alignment", "affine3_eye_left"), "1, 2"),
    ("alignment", "right_eye"): (("alignment", "affine3_eye_right"), "3, 4"),
    ("alignment", "noise"): (("alignment", "affine3_nose"), "5, 6"),
}


#: Options that are read no more, and a part of why.
RETIRED = {
    ("annoy", "face_vector"): "the model decides it",
    ("index", "search_k"): "each build of the index measures it",
}


def test_every_former_name_is_known() -> None:
    assert {*RENAMED, *RETIRED} == set(ALIASES)


@pytest.mark.parametrize("alias", RENAMED, ids=".".join)
def test_an_original_name_is_taken_with_a_warning_that_names_the_new_one(
    load: Load, caplog: pytest.LogCaptureFixture, alias: tuple[str, str]
) -> None:
    target, value = RENAMED[alias]
    old = load(f"[{alias[0]}]\n{alias[1]} = {value}")
    (warning,) = caplog.records
    assert warning.levelno == logging.WARNING
    assert f"[{alias[0]}] {alias[1]} is now called [{target[0]}] {target[1]}" in warning.getMessage()
    new = load(f"[{target[0]}]\n{target[1]} = {value}")
    assert len(caplog.records) == 1
    assert old == new
    assert getattr(getattr(old, target[0]), target[1]) != getattr(getattr(load(""), target[0]), target[1]) or (
        target == ("detection", "model")
    )


@pytest.mark.parametrize("retired", RETIRED, ids=".".join)
def test_an_option_that_is_read_no_more_is_taken_with_a_warning_that_says_why(
    load: Load, caplog: pytest.LogCaptureFixture, retired: tuple[str, str]
) -> None:
    section, name = retired
    assert load(f"[{section}]\n{name} = anything") == load("")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"[{section}] {name} is not needed any more, {RETIRED[retired]}" in caplog.text


@pytest.mark.parametrize("alias", RENAMED, ids=".".join)
def test_an_option_given_under_both_names_is_refused(load: Load, alias: tuple[str, str]) -> None:
    target, value = RENAMED[alias]
    sections: dict[str, list[str]] = {}
    for section, name in (alias, target):
        sections.setdefault(section, []).append(f"{name} = {value}")
    for order in (list(sections), list(reversed(sections))):
        text = "\n".join("\n".join([f"[{section}]", *sections[section]]) for section in order)
        assert f"[{target[0]}] {target[1]} is given twice" in refusal(load, text)


@pytest.mark.parametrize("alias", [("annoy", "num_trees"), ("alignment", "imgsize"), ("mtcnn", "model")], ids=".".join)
def test_a_wrong_value_under_an_original_name_is_told_with_the_new_one(load: Load, alias: tuple[str, str]) -> None:
    target, _ = RENAMED[alias]
    assert f"[{target[0]}] {target[1]} = -5: must" in refusal(load, f"[{alias[0]}]\n{alias[1]} = -5")


# --- the file -------------------------------------------------------------------------------------------------------


def test_relative_paths_start_at_the_file_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "config.ini").write_text("[gallery]\npath = ../lib/gallery\n[index]\npath = /srv/index\n")
    monkeypatch.chdir(tmp_path)
    for path in (Path("etc/config.ini"), tmp_path / "etc" / "config.ini"):
        config = load_config(path)
        assert config.gallery.path.resolve() == tmp_path / "lib" / "gallery"
        assert config.index.path == Path("/srv/index")
        assert config.access.web_token_file == tmp_path / "etc" / "var" / "token.web"
        assert all(
            value.is_absolute()
            for section, option in OPTIONS
            if isinstance(value := getattr(getattr(config, section), option.name), Path)
        )


def test_an_optional_path_may_be_left_empty(load: Load) -> None:
    assert load("[server]\nunix_socket =\nlegacy_image_root = ").server == load("").server


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin1.ini").write_bytes("[gallery]\npath = /srv/Müller\n".encode("latin-1"))
    for path in (tmp_path / "absent.ini", tmp_path, tmp_path / "latin1.ini"):
        with pytest.raises(ConfigError, match="cannot be read") as error:
            load_config(path)
        assert str(path) in str(error.value)


# --- Python and PHP -------------------------------------------------------------------------------------------------

#: Read by both as the same; the value of `[gallery] path` as Python gives it.
SAME = {
    "an equals sign": ("a=b", "a=b"),
    "an equals sign at the ends": ("=a=", "=a="),
    "a backslash": ("C:\\new\\", "C:\\new\\"),
    "a dollar": ("$HOME/${HOME}", "$HOME/${HOME}"),
    "braces": ("{a}(b)[c]", "{a}(b)[c]"),
    "operators": ("a|b&c^d!e~f", "a|b&c^d!e~f"),
    "a percent sign": ("%(path)s %d", "%(path)s %d"),
    "a colon": ("host:1", "host:1"),
    "a constant of PHP": ("PHP_VERSION", "PHP_VERSION"),
    "another constant of PHP": ("E_ALL", "E_ALL"),
    "null": ("null", "null"),
    "none": ("none", "none"),
    "yes": ("yes", "yes"),
    "no": ("no", "no"),
    "on": ("on", "on"),
    "off": ("off", "off"),
    "true": ("true", "true"),
    "false": ("false", "false"),
    "a number with leading zeroes": ("007", "007"),
    "a number with an exponent": ("1e3", "1e3"),
    "a number with underscores": ("1_000", "1_000"),
    "a hexadecimal number": ("0x1F", "0x1F"),
    "letters beyond ASCII": ("Müller/顔", "Müller/顔"),
    "blanks within": ("a  b\tc", "a  b\tc"),
    "blanks at the ends": (" \t a \t ", "a"),
    "markup": ("<b>&</b>", "<b>&</b>"),
    "a long line": ("x" * 20000, "x" * 20000),
}

#: Read differently, or by one of the two only: refused.
DIFFERENT = {
    "a semicolon in a value": "[gallery]\npath = a;b",
    "a comment after a value": "[gallery]\npath = a ; b",
    "a hash in a value": "[gallery]\npath = a#b",
    "a comment with a hash": "# hello\n[gallery]\npath = a",
    "a comment after a section": "[gallery] ; hello\npath = a",
    "a comment with a blank before": "[gallery]\n ; hello\npath = a",
    "double quotes": '[gallery]\npath = "a"',
    "single quotes": "[gallery]\npath = 'a'",
    "an apostrophe": "[gallery]\npath = it's",
    "a value of two lines": "[gallery]\npath = a\n  b",
    "a value of two lines with a tab": "[gallery]\npath = a\n\tb",
    "a name with a blank before": "[gallery]\n path = a",
    "a section with a blank before": " [gallery]\npath = a",
    "a colon as delimiter": "[gallery]\npath: a",
    "a colon before the equals sign": "[gallery]\npath:a = b",
    "a name without a value": "[gallery]\npath",
    "a list": "[gallery]\npath[] = a",
    "a name with a dot": "[gallery]\nstore.path = a",
    "a name with a hyphen": "[gallery]\nstore-path = a",
    "a name with a blank": "[gallery]\nstore path = a",
    "a name in capitals": "[gallery]\nPATH = a",
    "a name that begins with a digit": "[gallery]\n1path = a",
    "a section in capitals": "[Gallery]\npath = a",
    "a section with blanks": "[ gallery ]\npath = a",
    "a section that inherits": "[gallery:server]\npath = a",
    "an unclosed section": "[gallery\npath = a",
    "an option twice": "[gallery]\npath = a\npath = b",
    "a section twice": "[gallery]\npath = a\n[server]\nport = 1\n[gallery]\nmax_map_bytes = 99999999",
    "an option before every section": "path = a\n[gallery]\n",
    "configparser's section of defaults": "[DEFAULT]\npath = a\n[gallery]\n",
    "a byte order mark": "\ufeff[gallery]\npath = a",
    "a byte order mark before a comment": "\ufeff; hello\n[gallery]\npath = a",
    "a NUL": "[gallery]\npath = a\0b",
    "a NUL in a comment": "; a\0b\n[gallery]\npath = a",
    "a vertical tab at the end": "[gallery]\npath = a\x0b",
    "a form feed before a name": "[gallery]\n\x0cpath = a",
    "a unit separator": "[gallery]\npath = \x1fa",
    "a next line": "[gallery]\npath = a\x85",
    "a no-break space": "[gallery]\npath = a\u00a0",
    "a no-break space after a name": "[gallery]\npath\u00a0= a",
    "an ideographic space": "[gallery]\npath = \u3000a",
    "a line separator": "[gallery]\npath = a\u2028b",
    "a zero-width space": "[gallery]\npath = a\u200b",
    **{
        f"the name {word}": f"[gallery]\n{word} = a"
        for word in ("yes", "no", "on", "off", "none", "null", "true", "false")
    },
}


def _php_reads(*paths: Path) -> list[Any]:
    """What PHP makes of files; False for what it refuses."""
    code = (
        "$read = array_map(fn($p) => @parse_ini_file($p, true, INI_SCANNER_RAW), array_slice($argv, 1));"
        "echo json_encode($read, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);"
    )
    command = ["php", "-n", "-r", code, "--", *map(str, paths)]
    read: list[Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    # PHP's empty array is a list to JSON.
    return [{s: v or {} for s, v in each.items()} if isinstance(each, dict) else each or {} for each in read]


needs_php = pytest.mark.skipif(shutil.which("php") is None, reason="needs php (apt-get install php8.2-cli)")


def _python_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the loader's own parser makes of a file, before a value is looked at; False for what it refuses."""
    seen: dict[str, dict[str, str]] = {}

    def keep(parser: Any, path: Path) -> list[Any]:
        seen.update({section: dict(parser.items(section)) for section in parser.sections()})
        return []

    with monkeypatch.context() as patch:
        patch.setattr("face_server.config._renamed", keep)
        try:
            load_config(path)
        except ConfigError:
            return False
    return seen


@pytest.mark.parametrize(("value", "read"), SAME.values(), ids=SAME)
def test_what_both_read_alike_is_taken_as_it_stands(load: Load, tmp_path: Path, value: str, read: str) -> None:
    assert load(f"[gallery]\npath = {value}\n").gallery.path == tmp_path / read


@pytest.mark.parametrize("text", DIFFERENT.values(), ids=DIFFERENT)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_what_the_two_read_differently_is_refused_with_its_line(load: Load, text: str, line_end: str) -> None:
    message = refusal(load, text.replace("\n", line_end))
    assert re.search(r"\bline +\d+\b|line: \d+", message), message


def test_a_byte_order_mark_is_refused_with_the_remedy(load: Load) -> None:
    assert "line 1: remove the invisible '\\ufeff' (if it is '\\ufeff', save" in refusal(load, "\ufeff[server]\n")


def test_the_refused_line_is_named_by_its_number(load: Load) -> None:
    assert "line 4: a value must not hold" in refusal(load, "; one\n[server]\nport = 1\nhost = a;b\n")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_blank_lines_and_comments_are_read(load: Load, line_end: str) -> None:
    text = "; hello; 'world' #\n\n[server]\nport = 7\n \t \n;port = 8\nhost = ::1\n\n[index]\ntrees=3"
    config = load(text.replace("\n", line_end))
    assert (config.server.port, config.server.host, config.index.trees) == (7, "::1", 3)


@needs_php
def test_php_reads_the_shipped_file_as_python_does(monkeypatch: pytest.MonkeyPatch) -> None:
    (php,) = _php_reads(ROOT / "config.ini")
    assert php == _python_reads(ROOT / "config.ini", monkeypatch)
    assert php["server"]["port"] == "9999"


@needs_php
def test_php_reads_every_accepted_construct_as_python_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates = (
        "[gallery]\npath = {}\n[server]\nport = 1\n",
        "[gallery]\r\npath={}\r\nx = 1",
        "[gallery]\n\npath\t=\t{}",
    )
    paths = []
    for number, (value, _) in enumerate(SAME.values()):
        for shape, template in enumerate(templates):
            paths.append(tmp_path / f"{number}-{shape}.ini")
            paths[-1].write_bytes(template.replace("{}", value).encode())
    for path, php in zip(paths, _php_reads(*paths), strict=True):
        assert php == _python_reads(path, monkeypatch), path.read_text()


@needs_php
def test_php_reads_every_option_as_python_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    for section in SECTIONS:
        lines += [f"[{section}]", *(f"{o.name} = {written(o.default)}" for s, o in OPTIONS if s == section)]
    path = tmp_path / "config.ini"
    path.write_text("\n".join(lines))
    (php,) = _php_reads(path)
    assert php == _python_reads(path, monkeypatch)
    assert sum(map(len, php.values())) == len(OPTIONS)


CHARACTERS = string.printable + "é顔\u00a0\u2028\u3000\ufeff\x00\x1c\x7f\x85"
WORDS = ["null", "yes", "a", "\r\n", "\nhost = ", "\nport=", "\n[index]\n", "\n;", " = ", "${a}"]
PIECES = st.sampled_from([*CHARACTERS, *WORDS])


@needs_php
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=150, max_size=150))
def test_whatever_python_accepts_php_reads_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[str]
) -> None:
    accepted = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.ini"
        path.write_bytes(f"[server]\nhost = {text}".encode())
        python = _python_reads(path, monkeypatch)
        if python is not False:
            accepted.append((path, python))
    assert accepted
    for (path, python), php in zip(accepted, _php_reads(*(path for path, _ in accepted)), strict=True):
        assert php == python, path.read_bytes()


# --- documentation --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table() -> str:
    """What scripts/config-table prints."""
    return subprocess.run([ROOT / "scripts" / "config-table"], check=True, capture_output=True, text=True).stdout


def test_the_table_of_options_has_a_row_for_each_with_its_default_and_help(table: str) -> None:
    rows = table.splitlines()[2:]
    assert len(rows) == len(OPTIONS)
    for (section, option), row in zip(OPTIONS, rows, strict=True):
        name, default, text = row.removeprefix("| ").removesuffix(" |").split(" | ", 2)
        assert name == f"`[{section}] {option.name}`"
        assert text.startswith(option.metadata["help"])
        if option.type == "float":
            assert float(default.strip("`")) == option.default
        else:
            assert default == (f"`{written(option.default)}`" if written(option.default) else "(unset)")


def test_the_readme_holds_the_table_of_options(table: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("<!-- config-table -->\n")[1].split("<!-- /config-table -->")[0]
    assert block.strip() == table.strip(), "run scripts/config-table and put what it prints between the two marks"
