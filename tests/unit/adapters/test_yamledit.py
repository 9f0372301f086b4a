"""Edits of YAML texts: the value asked for changes, every other byte stays."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import yaml

from adapters.yamledit import EditError, edit, line_of, parse

DOCUMENT = """\
# What the team decided on a Friday.
config:
  slipway:kind: environment   # never `shared`

  # Sizes
  slipway:services:
    hello: {port: 8080, replicas: 2}  # flow
    'greeter':
      port: 0x1F90
      env:
        - "MODE=fast"   # quick
        - LANG=ünïcödé ☃
  slipway:images:
    hello: "hello:v1@sha256:aa"
    greeter: 'greeter:v1'
  slipway:note: |
    two
    lines
  # the end of the configuration
encryptionsalt: v1:abc=:v1:d:e
"""


def _set(document: str, *path: str | int, to: Any) -> str:
    wanted = parse(document)
    place = wanted
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return edit(document, wanted)


def _delete(document: str, *path: str | int) -> str:
    wanted = parse(document)
    place = wanted
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return edit(document, wanted)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "to", "before", "after"),
    [
        (("slipway:kind",), "shared", "environment   #", "shared   #"),
        (("slipway:images", "hello"), "hello:v2", '"hello:v1@sha256:aa"', '"hello:v2"'),
        (("slipway:images", "greeter"), "it's", "'greeter:v1'", "'it''s'"),
        (("slipway:services", "hello", "replicas"), 3, "replicas: 2}  # flow", "replicas: 3}  # flow"),
        (("slipway:services", "greeter", "port"), 8081, "0x1F90", "8081"),
        (("slipway:services", "greeter", "env", 0), "MODE=slow", '"MODE=fast"   #', '"MODE=slow"   #'),
        (("slipway:services", "greeter", "env", 1), "LANG=日本", "LANG=ünïcödé ☃", "LANG=日本"),
        (("slipway:note",), "one", " |\n    two\n    lines\n", " one\n"),
        (("slipway:note",), "other\nlines\n", "two\n    lines", "other\n    lines"),
    ],
)
def test_only_the_value_changes(path: tuple[str | int, ...], to: Any, before: str, after: str, newline: str) -> None:
    document, before, after = (text.replace("\n", newline) for text in (DOCUMENT, before, after))
    assert document.count(before) == 1
    assert _set(document, "config", *path, to=to) == document.replace(before, after)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_new_entry_goes_behind_the_last_one_and_before_the_comment_that_follows(newline: str) -> None:
    document = DOCUMENT.replace("\n", newline)
    added = _set(document, "config", "slipway:holds", to=[{"digest": "sha256:bb", "reason": "leaks"}])
    lines = ["    lines", "  slipway:holds:", "    - digest: sha256:bb", "      reason: leaks", "  # the end of"]
    assert added == document.replace(f"    lines{newline}  # the end of", newline.join(lines))


def test_a_new_entry_follows_the_text_that_has_no_last_line_feed() -> None:
    assert _set("config:\n  a: 1", "config", "b", to=2) == "config:\n  a: 1\n  b: 2\n"


def test_a_list_item_is_added_behind_the_others() -> None:
    document = "a:\n- 1  # one\n- 2\n# end\n"
    assert _set(document, "a", to=[1, 2, 3]) == "a:\n- 1  # one\n- 2\n- 3\n# end\n"


def test_a_removed_entry_takes_its_own_lines_and_leaves_the_comments_around() -> None:
    assert _delete(DOCUMENT, "config", "slipway:note") == DOCUMENT.replace(
        "  slipway:note: |\n    two\n    lines\n", ""
    )
    assert _delete(DOCUMENT, "config", "slipway:services") == "\n".join(
        line for number, line in enumerate(DOCUMENT.split("\n"), 1) if number not in range(6, 13)
    )


def test_the_last_entry_of_a_mapping_leaves_an_empty_mapping() -> None:
    assert _delete("a: # why\n  b: 1\nc: 2\n", "a", "b") == "a: {} # why\nc: 2\n"


def test_an_entry_is_put_into_an_empty_mapping_of_any_kind() -> None:
    for empty in ("{}", "", "~"):
        text = f"a: {empty}\nb: 1\n" if empty else "a:\nb: 1\n"
        assert edit(text, {"a": {"x": [1]}, "b": 1}) == (
            "a: {x: [1]}\nb: 1\n" if empty == "{}" else "a:\n  x:\n    - 1\nb: 1\n"
        )


def test_an_empty_text_is_filled() -> None:
    assert edit("", {"config": {"slipway:kind": "shared"}}) == "config:\n  slipway:kind: shared\n"


def test_a_block_of_text_stays_one_beside_a_comment() -> None:
    assert _set("a:  # why\n  b: 1\nc: 2\n", "a", to="x\ny") == "a: |-  # why\n  x\n  y\nc: 2\n"


def test_nothing_is_touched_where_nothing_differs() -> None:
    assert edit(DOCUMENT, parse(DOCUMENT)) == DOCUMENT


def test_true_and_one_differ() -> None:
    assert edit("a: 1\n", {"a": True}) == "a: true\n"


@pytest.mark.parametrize("text", ["yes", "no", "on", "12:30", "2026-11-24", "1_000", "NO", "y"])
def test_words_of_the_older_yaml_are_strings_and_are_written_so_that_both_versions_agree(text: str) -> None:
    assert parse(f"a: {text}\n") == {"a": text}
    written = _set("a: x\n", "a", to=text)
    assert yaml.safe_load(written) == parse(written) == {"a": text}


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "true",
        "null",
        "~",
        "",
        " x ",
        "a: b",
        "#x",
        "- x",
        "@x",
        "%x",
        "0o7",
        "1e3",
        "é\u2028x",
        "\t",
        "\x07",
        "'\"",
        "{x",
        "*x",
        "&x",
        "=",
        "<<",
    ],
)
@pytest.mark.parametrize("document", ["a: x\n", "a: 'x'\n", 'a: "x"\n', "a: [x]\n"])
def test_any_string_comes_back_as_the_same_string(value: str, document: str) -> None:
    wanted = {"a": [value] if "[" in document else value}
    assert parse(edit(document, wanted)) == wanted


def test_what_refers_to_an_anchor_is_not_changed_with_it() -> None:
    document = "base: &base {cpu: 1}\none: *base\ntwo: 3  # two\n"
    with pytest.raises(EditError, match=r"one\.cpu"):
        edit(document, {"base": {"cpu": 1}, "one": {"cpu": 5}, "two": 3})
    assert edit(document, {"base": {"cpu": 1}, "one": {"cpu": 1}, "two": 4}) == document.replace("3", "4")


def test_a_key_that_is_there_twice_is_an_error_with_its_line() -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="b is there twice") as caught:
        parse("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert caught.value.problem_mark.line == 3


def test_lines_are_those_of_keys_and_items() -> None:
    assert line_of(DOCUMENT, ("config", "slipway:services", "greeter")) == 8
    assert line_of(DOCUMENT, ("config", "slipway:services", "greeter", "env", 1)) == 12
    assert line_of(DOCUMENT, ("config", "slipway:services", "nobody")) is None


# Random documents, built of parts that are known to belong to one entry each.

STRINGS = ["x", "yes", "a b", "it's", 'say "hi"', "ünï ☃", "12:30", "a: b", "v1:ab=:cd", "", "#no", "two\nlines\n", "-"]


def _scalar(rng: random.Random) -> Any:
    return rng.choice([rng.choice(STRINGS), rng.choice(STRINGS), rng.randint(-9, 99), rng.random(), True, None])


def _value(rng: random.Random, depth: int) -> Any:
    shape = rng.random()
    if depth == 0 or shape < 0.5:
        return _scalar(rng)
    if shape < 0.75:
        return {f"k{i}": _value(rng, depth - 1) for i in range(rng.randint(0, 3))}
    return [_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]


def _entry(rng: random.Random, key: str, value: Any, number: int) -> str:
    """The lines of one entry of `config` in some style a person might have chosen, with comments of its own."""
    style = rng.choice([None, None, "'", '"'])
    text = yaml.dump({key: value}, allow_unicode=True, sort_keys=False, width=rng.choice([20, 999]))
    if rng.random() < 0.4:
        dumped = yaml.dump(value, default_flow_style=True, default_style=style, allow_unicode=True, width=999)
        text = f"{key}: {dumped.removesuffix(chr(10)).removesuffix('...').strip()}\n"
    lines = text.splitlines()
    if rng.random() < 0.5 and not (isinstance(value, str) and "\n" in value) and len(lines) == 1:
        lines[0] += f"   # behind {number}"
    return "".join(f"  {line}\n" for line in lines)


def _comment(rng: random.Random, number: int) -> str:
    return rng.choice(["", "\n", f"  # before {number}\n", f"# far left of {number}\n\n"])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("seed", range(60))
def test_a_random_change_keeps_all_other_entries_to_the_byte(seed: int, newline: str) -> None:
    rng = random.Random(seed)
    entries = {f"slipway:e{i}": _value(rng, 2) for i in range(rng.randint(2, 5))}
    parts = [(_comment(rng, i), _entry(rng, key, entries[key], i)) for i, key in enumerate(entries)]
    head, tail = "# head\nconfig:\n", "# tail\nlast: 'end'\n"
    text = (head + "".join(comment + entry for comment, entry in parts) + tail).replace("\n", newline)
    model = parse(text)
    chosen = rng.randrange(len(entries))
    key = list(entries)[chosen]
    before = (head + "".join(comment + entry for comment, entry in parts[:chosen]) + parts[chosen][0]).replace(
        "\n", newline
    )
    behind = ("".join(comment + entry for comment, entry in parts[chosen + 1 :]) + tail).replace("\n", newline)
    wanted = copy.deepcopy(model)
    if rng.random() < 0.3:
        del wanted["config"][key]
        assert edit(text, wanted) == before + behind
        return
    wanted["config"][key] = _value(rng, 2)
    changed = edit(text, wanted)
    assert parse(changed) == wanted
    assert changed.startswith(before)
    assert changed.endswith(behind)
    assert "\r\n" not in changed if newline == "\n" else "\n" not in changed.replace("\r\n", "")


@pytest.mark.parametrize("seed", range(20))
def test_many_changes_one_after_another_say_what_a_plain_document_says(seed: int) -> None:
    rng = random.Random(seed)
    model: Any = {"config": {f"slipway:e{i}": _value(rng, 2) for i in range(3)}, "encryptionsalt": "v1:x"}
    text = "# kept\n" + yaml.dump(model, sort_keys=False, allow_unicode=True)
    model = parse(text)
    for _ in range(12):
        place, key = model["config"], rng.choice([f"slipway:e{i}" for i in range(5)])
        while isinstance(place.get(key), dict) and place[key] and rng.random() < 0.7:
            place = place[key]
            key = rng.choice([*place, f"k{rng.randint(0, 4)}"])
        if key in place and rng.random() < 0.3:
            del place[key]
        else:
            place[key] = _value(rng, 2)
        text = edit(text, model)
        assert parse(text) == model
        assert text.startswith("# kept\n")


def test_a_byte_order_mark_stays_and_shifts_nothing() -> None:
    assert edit("\ufeffa: 1  # one\nb: 2\n", {"a": 1, "b": 3}) == "\ufeffa: 1  # one\nb: 3\n"
    assert edit("\ufeffa: 1\n", {"a": 4}) == "\ufeffa: 4\n"
