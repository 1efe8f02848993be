"""The text of BUILD files, edited: for builds.py --write."""
import ast
import os
import re

import house
from build_descriptions import BUILD_FILE, HEADERS, MACROS, OF_EVERY_TEST, SIZES

# Their order in a stanza.
ORDER = ["name", "size", "messages", "services", "srcs", "hdrs", "copts", "data", "labels", "local_defines",
         "single_threaded", "visibility", "deps"]


def entry(path, package):
    """How a file is written in the lists of a package."""
    name = path.replace(" (services)", "")
    if package and not name.startswith(package + "/"):
        folder, file = os.path.split(name)
        return f"//{folder}:{file}"
    return os.path.relpath(name, package or ".")


def rank(value):
    """The order of a list: files and targets of the package, then others of ours, then the system's."""
    return (0 if value[0] not in "/@:" else 1 if value[0] == ":" else 2 if value[0] == "/" else 3, value)


def list_text(values, indent):
    if not values:
        return "[]"
    return "[\n" + "".join(f'{indent}    "{value}",\n' for value in values) + indent + "]"


def stanza_of(comparison, target):
    package = target.package
    macro = {"library": "tollgate_room", "program": "tollgate_program", "test": "tollgate_test"}[target.kind]
    attributes = {"name": target.name}
    test = comparison.cmake.tests.get(target.name)
    for source in target.sources:
        attribute = "services" if " " in source else "messages" if source.endswith(".proto") else "srcs"
        attributes.setdefault(attribute, []).append(entry(source, package))
    if "messages" in attributes:
        macro = "tollgate_protos"
    deps = target.deps - (OF_EVERY_TEST if target.kind == "test" else set())
    attributes["deps"] = sorted((comparison.label(dep, package) for dep in deps), key=rank)
    if target.options:
        attributes["copts"] = sorted(target.options)
    if target.definitions:
        attributes["local_defines"] = sorted(target.definitions)
    if test:
        seconds = min((s for s in SIZES.values() if s >= test.seconds), default=3600)
        size = next(word for word, number in SIZES.items() if number == seconds)
        if size != "medium":
            attributes["size"] = size
        if test.labels - {"threads"} != {"unit"}:
            attributes["labels"] = sorted(test.labels - {"threads"})
        if "threads" not in test.labels:
            attributes["single_threaded"] = True
    if macro in ("tollgate_room", "tollgate_protos"):
        attributes["visibility"] = ["//tests:__subpackages__"]
    if macro == "tollgate_room":
        folder = os.path.join(comparison.root, package)
        stems = {house.stem(source) for source in target.sources}
        headers = [name for name in sorted(os.listdir(folder)) if name.endswith(HEADERS)
                   and house.stem(os.path.join(package, name)) in stems] if os.path.isdir(folder) else []
        if headers:
            attributes["hdrs"] = headers
    lines = [f"{macro}("]
    for name in sorted(attributes, key=ORDER.index):
        value = attributes[name]
        if isinstance(value, list):
            value = list_text(sorted(value, key=rank), "    ")
        else:
            value = f'"{value}"' if isinstance(value, str) else str(value)
        if value != "[]":
            lines.append(f"    {name} = {value},")
    return "\n".join(lines + [")"])


def with_load(text, macro):
    """The text of a BUILD file, with what it calls loaded."""
    file = f"//bazel:{MACROS[macro][1]}.bzl"
    match = re.search(rf'^load\("{file}", (.*?)\)$', text, re.M)
    if match is None:
        return f'load("{file}", "{macro}")\n' + ("" if text.startswith("load(") else "\n") + text
    names = sorted(set(re.findall(r'"(\w+)"', match[1])) | {macro})
    return text.replace(match[0], 'load("%s", %s)' % (file, ", ".join(f'"{name}"' for name in names)))


def edited(text, call_name, attribute, action, value):
    """The text of a BUILD file after one edit."""
    tree = ast.parse(text)
    node = next(s.value for s in tree.body if isinstance(getattr(s, "value", None), ast.Call)
                and any(k.arg == "name" and getattr(k.value, "value", None) == call_name for k in s.value.keywords))
    lines = text.splitlines(keepends=True)
    keyword = next((k for k in node.keywords if k.arg == attribute), None)
    if keyword is None:
        before = [k for k in node.keywords if k.arg in ORDER and ORDER.index(k.arg) < ORDER.index(attribute)]
        at = before[-1].value.end_lineno if before else node.lineno
        values = value if action == "set" else [value]
        lines.insert(at, f"    {attribute} = {list_text(values, '    ')},\n")
        return "".join(lines)
    literal = keyword.value
    while isinstance(literal, ast.BinOp):  # the list that is written out, of what is put together
        literal = literal.right if isinstance(literal.right, ast.List) else literal.left
    if not isinstance(literal, ast.List):
        return text
    if action == "add" and value in {getattr(e, "value", None) for e in literal.elts}:
        return text
    one_a_line = len({e.lineno for e in literal.elts}) == len(literal.elts) and literal.lineno != literal.end_lineno
    if not literal.elts or action == "remove" and {getattr(e, "value", None) for e in literal.elts} == {value}:
        one_a_line = False
    if action != "set" and one_a_line:
        if action == "remove":
            for element in literal.elts:
                if getattr(element, "value", None) == value:
                    del lines[element.lineno - 1]
            return "".join(lines)
        after = [e for e in literal.elts if isinstance(e, ast.Constant) and rank(e.value) < rank(value)]
        at = after[-1].end_lineno if after else literal.lineno
        lines.insert(at, f'        "{value}",\n')
        return "".join(lines)
    values = [e.value for e in literal.elts if isinstance(e, ast.Constant)]
    values = value if action == "set" else [v for v in values if v != value] + ([value] if action == "add" else [])
    start, end = literal.lineno - 1, literal.end_lineno - 1
    head, tail = lines[start][:literal.col_offset], lines[end][literal.end_col_offset:]
    lines[start:end + 1] = [head + list_text(sorted(values, key=rank), "    ") + tail]
    return "".join(lines)


def write(root, differences):
    """Makes the edits that are known; how many."""
    made = 0
    for difference in differences:
        if difference.stanza:
            target, stanza = difference.stanza
            path = os.path.join(root, target.package, BUILD_FILE)
            text = ""
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            text = with_load(text.rstrip("\n") + "\n\n" + stanza + "\n" if text else stanza + "\n", stanza.split("(")[0])
        elif difference.edit:
            call, attribute, action, value = difference.edit
            path = call.path
            with open(path, encoding="utf-8") as file:
                text = edited(file.read(), call.attributes["name"], attribute, action, value)
        else:
            continue
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        made += 1
    return made
