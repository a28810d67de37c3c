"""Documents: what is read from YAML and JSON, and that nothing in a file leads astray."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.workloads.documents import MalformedDocument, parse_documents

TAGS = ["timestamp", "binary", "int", "float", "bool", "null", "set", "omap", "pairs", "seq", "map"]
TAGS += ["str", "merge", "value", "python/object:os.system", "nonsense"]


def refusal_of(content: bytes) -> str:
    """The message; empty if it is read. The values are always such that JSON could hold them."""
    try:
        values = parse_documents(content)
    except MalformedDocument as problem:
        return str(problem)
    json.dumps(values)
    return ""


def value_of(text: str) -> object:
    (value,) = parse_documents(text.encode())
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[~, null, yes, OFF]", [None, None, True, False]),
        ("[12, -0x1F, 0b11, 010, 1_000, 1.5]", [12, -31, 3, 8, 1000, 1.5]),
        ("[2001-01-01, 1:30, 0o14, 1e3, =]", ["2001-01-01", "1:30", "0o14", "1e3", "="]),
        ("[!!timestamp foo, !!str 5, .inf, .nan]", ["foo", "5", ".inf", ".nan"]),
        ("{1: a, true: b, ~: c}", {"1": "a", "true": "b", "~": "c"}),
        ("{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: {<<: [{b: 1}, {b: 2, c: 3}]}", {"a": {"b": 1, "c": 3}}),
        ('{"<<": {a: 1}}', {"<<": {"a": 1}}),
        ('\ufeff{"a": [1, 2.5, null, true]}', {"a": [1, 2.5, None, True]}),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    """As kubectl reads them: dates and times are text, and so are keys."""
    assert value_of(text) == value


def test_documents_in_order() -> None:
    """An empty document counts, so that the others keep their numbers."""
    assert parse_documents(b"a: 1\n---\n---\n- b\n") == [{"a": 1}, None, ["b"]]


@pytest.mark.parametrize("digits", [65, 6000, 200_000])
@pytest.mark.parametrize("prefix", ["", "-", "0x", "0b", "1:"])
def test_numbers_of_any_length(prefix: str, digits: int) -> None:
    """What is too long for a number stays text: the field that wants a number can then say so."""
    text = prefix + "1" * digits

    assert value_of(f"- {text}") == [text]
    if prefix in {"", "-"}:
        assert value_of(f"[{text}\n]") == value_of(json.dumps([text])) == [text]


@pytest.mark.parametrize("content", ["foo", '""', "[a]", "{a: b}", "2001-99-99", "{b: !!int x}"])
@pytest.mark.parametrize("tag", TAGS)
def test_any_tag_on_anything(tag: str, content: str) -> None:
    """It is read as plain text, numbers, lists and mappings, or refused with its place."""
    message = refusal_of(f"a:\n  b: !!{tag} {content}".encode())

    assert not message or message.startswith("is not YAML: line 2, column ")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!binary aGk=", "line 1, column 4: found the tag '!!binary'; expected plain text"),
        ("!foo a", "line 1, column 1: found the tag '!foo'; expected plain text"),
        ("!!int foo", "found 'foo'; expected what the tag !!int says"),
        ("!!bool foo", "found 'foo'; expected what the tag !!bool says"),
        ("!!int ''", "found ''; expected what the tag !!int says"),
        ("a: 1\na: 2", "line 2, column 1: found 'a' for the second time; expected it once"),
        ('{"a": 1, "a": 2}', "found the key 'a' twice in one object; expected it once"),
        ("[a]: b", "found a list or mapping as a key; expected text"),
        ("&a [*a]", "line 1, column 1: found an alias of what it stands in"),
        ("&a {b: {<<: *a}}", "line 1, column 1: found an alias of what it stands in"),
        ("<<: 5", "expected a mapping or a list of mappings to merge"),
        ("*a", "line 1, column 1: found undefined alias 'a'"),
        ("a: [1", "line 1, column 6: while parsing a flow sequence"),
        ("a: 1\n\tb: 2", "line 2, column 1: .* cannot start any token"),
        ("a: b\0", r"line 1, column 5: character U\+0000: special characters are not allowed"),
        ("a\n b\x07", r"line 2, column 3: character U\+0007"),
        (r'"\UFFFFFFFF"', r"found an escape \(\\U\) that is not a character; expected at most"),
        (r'"\U00110000"', r"found an escape \(\\U\) that is not a character; expected at most"),
        ("[" * 100_000, "line 1, column 64: expected at most 64 levels of nesting"),
        ('{"a":' * 100_000, "expected at most 64 levels of nesting"),
        ("- " * 100_000, "expected at most 64 levels of nesting"),
        ("? " * 100_000, "expected at most 64 levels of nesting"),
        (f"*{'a' * 100_000}", "found undefined alias|…"),
    ],
)
def test_malformed(text: str, message: str) -> None:
    """The message says where, what, and what is allowed, in one line."""
    with pytest.raises(MalformedDocument, match=message) as caught:
        parse_documents(text.encode())

    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xe9", "byte 3 is not UTF-8; expected YAML or JSON in UTF-8"),
        ("a: 1".encode("utf-16"), "byte 0 is not UTF-8"),
    ],
)
def test_not_utf_8(content: bytes, message: str) -> None:
    """Another encoding is said, not guessed."""
    with pytest.raises(MalformedDocument, match=message):
        parse_documents(content)


@pytest.mark.parametrize(
    ("first", "following"),
    [
        ("{x: 1, y: 2}", "{{<<: [*a{n}, *a{n}]}}"),
        ("[x, y]", "[*a{n}, *a{n}]"),
        ("{x: 1}", "{{k{n}: 1, <<: *a{n}}}"),
        ("{x: 1}", "{{k: *a{n}, l: *a{n}}}"),
    ],
)
def test_aliases_that_multiply(first: str, following: str) -> None:
    """What aliases and merge keys repeat is counted, and refused where it grows out of bounds."""
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n + 1}: &a{n + 1} {following.format(n=n)}" for n in range(1000)]

    with pytest.raises(MalformedDocument, match="expected at most 200000 values, those of aliases"):
        parse_documents("\n".join(lines).encode())


def test_aliases_are_shared() -> None:
    """A part with several names is built once."""
    value = value_of("{a: &x [1], b: *x}")

    assert isinstance(value, dict)
    assert value["a"] is value["b"]


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes(content: bytes) -> None:
    """Whatever a file holds, it is read or refused with a `MalformedDocument`."""
    assert refusal_of(content).isprintable()


@given(st.lists(st.sampled_from(list("{}[]:,-?&*!|>'\"%@#<= \n\tax01.~\\")), max_size=40))
def test_any_syntax(characters: list[str]) -> None:
    """The same of texts that look like YAML."""
    assert refusal_of("".join(characters).encode()).isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_yaml_and_json_say_the_same(value: object) -> None:
    """A value written in either way is read as it was."""
    assert value_of(json.dumps([value])) == [value]
    assert value_of("a:\n" + yaml.safe_dump([value])) == {"a": [value]}
