#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is FILE exactly one JSON document that schema/json allows? Then: is each EXPRESSION over `d` (the document) true?

  json_check.py SCHEMA_FOLDER FILE [EXPRESSION...]

Understands the part of JSON Schema that our schemas use, and refuses a keyword that it does not know.
"""
import json
import pathlib
import re
import sys

IGNORED = {"$schema", "title", "description", "default", "$defs"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
folder = pathlib.Path(sys.argv[1])


def load(name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def follow(ref):
    name, _, inner = ref.partition("#")
    node = load(name)
    for step in filter(None, inner.split("/")):
        node = node[step]
    return node


def errors(value, schema, at="document"):
    for key, rule in schema.items():
        if key in IGNORED or key in ("then", "else"):
            continue
        if key == "$ref":
            yield from errors(value, follow(rule), at)
        elif key == "type":
            names = rule if isinstance(rule, list) else [rule]
            if not any(is_type(value, n) for n in names):
                yield f"{at}: {value!r} is not of type {names}"
        elif key == "const":
            if value != rule:
                yield f"{at}: {value!r} is not {rule!r}"
        elif key == "enum":
            if value not in rule:
                yield f"{at}: {value!r} is not one of {rule}"
        elif key == "pattern":
            if isinstance(value, str) and not re.search(rule.replace("$", r"\Z"), value):
                yield f"{at}: {value!r} does not match {rule}"
        elif key in ("minimum", "maximum"):
            if is_type(value, "integer") and (value < rule if key == "minimum" else value > rule):
                yield f"{at}: {value!r} is beyond the {key}, {rule}"
        elif key in ("minLength", "maxLength"):
            if isinstance(value, str) and (len(value) < rule if key == "minLength" else len(value) > rule):
                yield f"{at}: the length of {value!r} is beyond {key}, {rule}"
        elif key == "items":
            for i, item in enumerate(value if isinstance(value, list) else []):
                yield from errors(item, rule, f"{at}[{i}]")
        elif key == "properties":
            for name, inner in rule.items() if isinstance(value, dict) else []:
                if name in value:
                    yield from errors(value[name], inner, f"{at}.{name}")
        elif key == "required":
            for name in rule if isinstance(value, dict) else []:
                if name not in value:
                    yield f"{at}: no member '{name}'"
        elif key == "additionalProperties":
            for name in value if isinstance(value, dict) and rule is False else []:
                if name not in schema.get("properties", {}):
                    yield f"{at}: member '{name}' is not in the schema"
        elif key == "anyOf":
            if not any(not list(errors(value, choice, at)) for choice in rule):
                yield f"{at}: {value!r} fits none of {rule}"
        elif key == "if":
            branch = "else" if list(errors(value, rule, at)) else "then"
            yield from errors(value, schema.get(branch, {}), at)
        else:
            yield f"schema: keyword '{key}' is not understood here"


def no_duplicates(pairs):
    names = [k for k, _ in pairs]
    assert len(names) == len(set(names)), f"a member is there twice: {names}"
    return dict(pairs)


def main():
    raw = pathlib.Path(sys.argv[2]).read_bytes()
    try:
        d = json.loads(raw.decode("utf-8"), object_pairs_hook=no_duplicates)  # refuses anything after the document
    except (ValueError, AssertionError) as e:
        print(f"not exactly one JSON document: {e}\n{raw[:2000]!r}")
        return 1
    command = re.fullmatch(r"oxen-lite\.([a-z-]+)/1", d.get("schema", ""))
    found = list(errors(d, load(command.group(1) + ".json"))) if command else [f"schema: {d.get('schema')!r}"]
    for expression in sys.argv[3:]:
        if not eval(expression, {"d": d}):  # pylint: disable=eval-used
            found.append(f"not true: {expression}")
    if found:
        print("\n".join(found))
        print(json.dumps(d, indent=1, ensure_ascii=True)[:4000])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
