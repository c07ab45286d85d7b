"""Mistakes in `avila.yml`, in words for people who do not know YAML, each with its line."""

import difflib
import re
from collections.abc import Callable, Iterator

import yaml
from pydantic_core import ErrorDetails


def of_yaml(error: yaml.YAMLError, text: str) -> str:
    """What is wrong with a file that is no YAML, and where."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "not valid YAML"
    if not mark:
        return str(problem)
    lines = text.splitlines()
    # A file that ends too early is wrong past its last line.
    line = min(mark.line, len(lines) - 1)
    return f"line {mark.line + 1}: {problem}\n    {lines[line].strip()}\n  {_cure_of_yaml(str(problem))}"


def _cure_of_yaml(problem: str) -> str:
    if "'\\t'" in problem:
        return "put blanks in place of the tab; YAML takes none"
    if "escape" in problem:
        return "in double quotes a \\ begins an escape, as \\n does; put what has a \\ in it in single quotes"
    return "is a value with : # { [ & * ! | > % @ ' or a double quote in it? Then put it in double quotes"


def duplicate_keys(node: yaml.Node) -> Iterator[tuple[int, str]]:
    """Keys said twice in one mapping, with their lines: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in first:
                yield line, f"`{key.value}` is already set on line {first[key.value]}; keep one of the two"
            first.setdefault(key.value, line)
            yield from duplicate_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from duplicate_keys(item)


def causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Errors without those that follow from another: a list is short when what was in it is wrong."""
    places = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(len(place) > len(detail["loc"]) and place[: len(detail["loc"])] == detail["loc"] for place in places)
    ]


# What an analyst may not know from YAML, in the words that it uses.
_PLAINLY = (
    (r"Value error, ", ""),
    (r"Input should be (a valid )?", "expected "),
    (r"expected (tuple|list)", "expected a list"),
    (r"expected dictionary.*", "expected a mapping of keys to values"),
    (r"expected integer.*", "expected a whole number"),
    (r"expected (string|number|boolean)(,.*)?", r"expected a \1"),
    (r"(Tuple|Dictionary) should have at least 1 item after validation, not 0", "expected at least 1 item"),
)


def of_value(
    root: yaml.Node, detail: ErrorDetails, known_at: Callable[[list[str | int]], list[str]]
) -> tuple[int, str]:
    """On which line a validation error lies, which key it is, and what was expected.

    Args:
        root: The document.
        detail: The error.
        known_at: Which keys may stand at a place of the document.
    """
    path = [part for part in detail["loc"] if part != "[key]"]
    if len(path) == 3 and path[0] == "sources" and path[2] == "name":
        path.pop()
    node, line = root, root.start_mark.line + 1
    for part in path:
        step = _child(node, part)
        if step is None:
            break
        node, line = step
    key = ".".join(str(part) for part in path)
    if detail["type"] == "extra_forbidden":
        known = known_at(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return line, f"unknown key `{key}`; {hint}known here: {', '.join(known)}"
    if detail["type"] == "missing":
        return line, f"`{key}` is missing"
    expected = detail["msg"]
    for said, plainly in _PLAINLY:
        expected = re.sub(said, plainly, expected)
    given = detail["input"]
    if detail["type"] == "string_type" and given is None:
        expected += '; no value is written "null", with the quotes'
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    if detail["type"] == "literal_error" and isinstance(given, str):
        near = difflib.get_close_matches(given, re.findall(r"'([^']*)'", expected), n=1, cutoff=0.5)
        shown += f"; did you mean {near[0]}?" if near else ""
    return line, f"`{key}`: {expected}{'' if detail['type'] == 'value_error' else shown}"


def _child(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None
