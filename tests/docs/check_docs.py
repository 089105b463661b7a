#!/usr/bin/env python3
"""The documentation against the program: commands are run or parsed, links lead somewhere, pages name what there is and are
well formed.

usage: check_docs.py SOURCE GRADSCORE DRAW_DEMO

A block of code under `<!-- run -->` is run as a script in a folder of stand-ins (stand_ins.py) that lasts for the document;
`<!-- run exit=6 -->` says how it ends. Commands in all other blocks are parsed by the program itself, where none of the files
they name exist, so that they end before doing anything. Commands with … in them are shortened and left alone.
"""
import collections
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import markdown
import stand_ins

SOURCE, GRADSCORE, DRAW_DEMO = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
FILES = sorted([*SOURCE.glob("*.md"), *(SOURCE / "docs").rglob("*.md")])
faults = []
count = collections.Counter()


def fault(path, line, what):
    faults.append(f"{path.relative_to(SOURCE)}:{line}: {what}")


def output(*arguments):
    return subprocess.run([str(GRADSCORE), *arguments], capture_output=True, text=True, check=True).stdout


METHODS = {method["name"]: [key for key, _ in method["options"]] for method in json.loads(output("--list-methods", "--json"))}
COMMANDS = re.findall(r"^  ([a-z]+) ", output("--help").split("Subcommands:")[1], re.M)


def check_methods(path, line, words):
    """Names and options of the methods that a command asks for."""
    for flag, value in zip(words, words[1:]):
        if flag not in ("--methods", "--method"):
            continue
        for method in value.split(","):
            name, *options = method.split(":")
            if name != "forward" and name not in METHODS:
                fault(path, line, f"no method '{name}'")
            for option in options:
                # a search's own
                if option.split("=")[0] not in METHODS.get(name, []) + ["bounds"]:
                    fault(path, line, f"method {name} has no option '{option}'")


def parse(path, block, nowhere):
    for command in block.commands():
        if "…" in command or "..." in command:
            count["shortened"] += 1
            continue
        words = shlex.split(command, comments=True)
        if len(words) < 2:
            continue
        count["parsed"] += 1
        check_methods(path, block.line, words)
        if words[1] in ("bench", "plan"):  # nothing in them need be missing: would be run
            known = output(words[1], "--help")
            for word in words[2:]:
                if word.startswith("--") and not re.search(re.escape(word.split("=")[0]) + r"\b", known):
                    fault(path, block.line, f"gradscore {words[1]} has no {word}")
            continue
        done = subprocess.run([str(GRADSCORE), *words[1:]], cwd=nowhere, capture_output=True, text=True, timeout=60)
        if done.returncode in (1, 2):
            fault(path, block.line, f"{command}\n    {done.stderr.strip()}")


def run(path, block, scratch):
    expected = int((re.search(r"exit=(\d+)", block.mark) or [0, 0])[1])
    environment = os.environ | {"PATH": f"{GRADSCORE.parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1",
                                "CUDA_VISIBLE_DEVICES": ""}
    for words in map(shlex.split, block.commands()):
        check_methods(path, block.line, words)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], cwd=scratch, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    count["run"] += 1
    if done.returncode != expected:
        fault(path, block.line, f"ended with {done.returncode}, not {expected}:\n{block.text}\n" + "\n".join(done.stdout.splitlines()[-12:]))


def check_links(path, text):
    for line, target in markdown.links(text):
        if re.match(r"[a-z]+://", target):
            continue
        count["links"] += 1
        file, _, anchor = target.partition("#")
        linked = (path.parent / file) if file else path
        if not linked.exists():
            fault(path, line, f"link to {target}: no such file")
        elif anchor and anchor not in markdown.anchors(linked.read_text()):
            fault(path, line, f"link to {target}: no such heading")
        if linked.is_dir() and not file.endswith("/"):
            fault(path, line, f"link to the folder {target}")


def check_words(path, text):
    """Commands and files that the prose names."""
    for found in re.finditer(r"`gradscore ([a-z]+)\b(?![a-z ]* \d+`)", text):  # `gradscore journal 1`: a file's first line
        if found.group(1) not in [*COMMANDS, "completion", "manual"]:
            fault(path, text[: found.start()].count("\n") + 1, f"gradscore has no command '{found.group(1)}'")
    for found in re.finditer(r"`(docs/[\w./-]+\.md)`", text):
        if not (SOURCE / found.group(1)).exists():
            fault(path, text[: found.start()].count("\n") + 1, f"there is no {found.group(1)}")


def check_form(path, text):
    """One title, headings on lines of their own, tables whose rows have as many cells: what a formatter of code destroys."""
    lines = [re.sub(r"`[^`]*`", "code", line) for line in markdown.prose(text).splitlines()]
    if not lines[0].startswith("# ") or any(line.startswith("# ") for line in lines[1:]):
        fault(path, 1, "does not begin with its only title")
    bars = [len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0 for line in lines]
    for number, line in enumerate(lines, 1):
        if re.search(r"\S #{1,6} ", line):
            fault(path, number, "a heading inside a line")
        of_table, before = bars[number - 1], bars[number - 2] if number > 1 else 0
        if not of_table:
            continue
        count["rows"] += 1
        if before and of_table != before:
            fault(path, number, f"a table's row of {of_table - 1} cells after one of {before - 1}")
        if not before and not re.fullmatch(r"[|: -]+", lines[number] if number < len(lines) else ""):
            fault(path, number, "a table without a line under its head")


def check_comments():
    """Pages that comments in the sources refer to."""
    for path in SOURCE.glob("[a-z]*/**/*"):
        if path.suffix not in (".h", ".cpp", ".cu", ".cuh", ".toml", ".cmake") or path.relative_to(SOURCE).parts[0].startswith("build"):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            for page in re.findall(r"\bdocs/[\w./-]+\.md\b", line):
                count["references"] += 1
                if not (SOURCE / page).exists():
                    fault(path, number, f"there is no {page}")


def check_pages():
    """A page for every method, with its options; every page in its index."""
    for name, options in METHODS.items():
        page = SOURCE / f"docs/methods/{name}.md"
        if not page.exists():
            faults.append(f"docs/methods/{name}.md: missing")
            continue
        rows = re.findall(r"^\| (`[^|]*) \|", page.read_text(), re.M)
        written = {option for row in rows for option in re.findall(r"`([A-Za-z]+)`", row)}
        if not set(options) <= written:
            faults.append(f"{page}: options {options} are not all in the table")
        if f"--methods {name}" not in page.read_text() and name != "mos":
            faults.append(f"{page}: no command that runs it")
    for index, folder in ((SOURCE / "docs/methods.md", "methods"), (SOURCE / "docs/nets/README.md", "nets"),
                          (SOURCE / "docs/data/README.md", "data"), (SOURCE / "docs/walkthroughs/README.md", "walkthroughs")):
        linked = {(index.parent / target.split("#")[0]).resolve() for _, target in markdown.links(index.read_text())
                  if "://" not in target}
        for page in (SOURCE / "docs" / folder).glob("*.md"):
            if page != index and page.resolve() not in linked:
                faults.append(f"{page}: not linked from {index}")


def members(value):
    """Names of all members of a JSON value, but for those that are names of things (methods, sets, files, flags)."""
    if isinstance(value, list):
        return set().union(*map(members, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    keyed_by_things = all(re.search(r"[:=./]|^(msp|photos|textures|form)$", key) for key in value) or any(key.startswith("--") for key in value)
    return (set() if keyed_by_things else set(value)).union(*map(members, value.values()))


def check_formats(scratch):
    """docs/file-formats.md and docs/metrics.md name every member of what a program may read."""
    text = "".join((SOURCE / "docs" / name).read_text() for name in ("file-formats.md", "metrics.md"))
    named = set(re.findall(r"\w+", text))
    run = ["score", "--weights", "net.pth", "--id", "photos=folder:photos", "--ood", "textures=folder:textures"]
    for command in ([*run, "--methods", "msp", "--out", "formats", "--quiet"], ["threshold", "formats", "--method", "msp", "--out", "t.json"],
                    ["inspect", "net.pth"], ["plan", "--net", "resnet20-cifar", "--methods", "gaia-z"],
                    ["bench", "--net", "resnet20-cifar", "--images", "1"], ["devices"], ["--list-methods"]):
        done = subprocess.run([str(GRADSCORE), *command, "--json"], cwd=scratch, capture_output=True, text=True, check=True)
        found = members(json.loads(done.stdout))
        count["members"] += len(found)
        if found - named:
            faults.append(f"docs/file-formats.md: {command[0]} --json has members it does not name: {sorted(found - named)}")


def main():
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "template").mkdir()
        (root / "nowhere").mkdir()
        stand_ins.make(root / "template", SOURCE, GRADSCORE, DRAW_DEMO)
        for path in FILES:
            text = path.read_text()
            check_links(path, text)
            check_words(path, text)
            check_form(path, text)
            scratch = None
            for block in markdown.blocks(text):
                if block.mark.startswith("run"):
                    if scratch is None:
                        scratch = root / "scratch"
                        shutil.rmtree(scratch, ignore_errors=True)
                        shutil.copytree(root / "template", scratch, symlinks=True)
                    run(path, block, scratch)
                elif path.parent.name != "measurements":  # commands as they were then, with placeholders
                    parse(path, block, root / "nowhere")
        check_formats(root / "template")
    check_comments()
    check_pages()
    print(dict(count))
    if count["run"] < 25 or count["parsed"] < 20 or count["links"] < 100 or count["rows"] < 200:
        faults.append("fewer commands, links or tables than there must be: are they still found?")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
