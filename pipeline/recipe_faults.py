"""What is wrong with a recipe, in words of recipes and with the line; pydantic speaks of Python's types.

The words (`as_yaml`, `expected`) serve other settings in YAML as well.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.filter.blocks import BLOCKS
from pipeline.yaml_lines import Place, line_of

_EXAMPLES: dict[Place, str] = {
    ("filter",): "gopher_quality: {min_words: 50}",
    ("poison", "outcomes"): "instructions: hold",
}


def describe(
    error: ValidationError, recipe: type[BaseModel], source: str, lines: Mapping[Place, int], under: Place
) -> list[str]:
    """A line for each fault: where it is, the key's name, what was found, what was expected.

    `under` is the place of what was validated, in a recipe of that model; `lines` are those of its keys.
    """
    faults = []
    for fault in error.errors(include_url=False):
        path = (*under, *fault["loc"])
        where = f"{source}:{line_of(lines, path)}"
        name = ".".join(str(key) for key in path if isinstance(key, str))
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            faults.append(f"{where}: unknown key {name}. {_known_keys(recipe, path)}")
        elif fault["type"] == "missing":
            faults.append(f"{where}: {name} is missing.")
        elif fault["type"] in ("value_error", "assertion_error"):
            faults.append(f"{where}: {str(fault['ctx']['error']) if 'ctx' in fault else fault['msg']}")
        else:
            faults.append(f"{where}: {name} is {as_yaml(fault['input'])}; {expected(fault, path)}.")
    return faults


def as_yaml(value: Any) -> str:
    """A value as the recipe spells it, not as Python does."""
    words: dict[Any, str] = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)


def expected(fault: Any, path: Place) -> str:
    """What pydantic wanted of the value at a place, in words of recipes."""
    context, given = fault.get("ctx", {}), fault["input"]
    named = given if isinstance(given, str) and given.isprintable() else "lists/names.txt"
    keys = f", such as {_EXAMPLES[path]}" if path in _EXAMPLES else ""
    example = "[de]" if path[-1:] == ("languages",) else f"[{named}]"
    off = ", or {enabled: false} to switch it off" if path == ("poison",) else ""
    phrases = {
        "list": f"expected a list such as {example}",
        "tuple": f"expected a list such as {example}",
        "int": "expected a whole number",
        "float": "expected a number",
        "finite": "expected a number",
        "bool": "expected true or false",
        "string": "expected text",
        "path": "expected a path",
        "dict": f"expected keys with their values{keys}",
        "model": f"expected keys with their values, or nothing for the defaults{off}",
        "dataclass": "expected keys with their values, or nothing for the defaults",
        "greater_than_equal": f"expected at least {context.get('ge', 0):g}",
        "greater_than": f"expected more than {context.get('gt', 0):g}",
        "less_than_equal": f"expected at most {context.get('le', 0):g}",
        "less_than": f"expected less than {context.get('lt', 0):g}",
        "literal_error": f"expected {context.get('expected')}",
        "string_too_short": "expected text that is not empty",
    }
    kind = str(fault["type"])
    found = phrases.get(kind) or phrases.get(kind.partition("_")[0])
    return found or fault["msg"][0].lower() + fault["msg"][1:]


def _known_keys(recipe: type[BaseModel], path: Place) -> str:
    """The keys that exist where an unknown one was found."""
    model: Any = recipe
    if path[:1] == ("filter",) and len(path) > 2:
        model = BLOCKS.get(str(path[1]))
    else:
        for key in path[:-1]:
            annotation = model.model_fields[key].annotation
            candidates = [annotation, *getattr(annotation, "__args__", ())]
            model = next(found for found in candidates if isinstance(found, type) and issubclass(found, BaseModel))
    fields = getattr(model, "model_fields", None) or getattr(model, "__dataclass_fields__", {})
    return f"Known here: {', '.join(fields)}."
