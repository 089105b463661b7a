"""What the checks need of Markdown: blocks of code with their marks, links, headings."""
import dataclasses
import re


@dataclasses.dataclass
class Block:
    line: int  # of its first line
    text: str
    mark: str = ""  # "run", "run exit=6", "parse", or none: the comment above the block

    def commands(self):
        """Command lines of gradscore, continued ones joined."""
        joined = re.sub(r"\\\n\s*", " ", self.text)
        for line in joined.splitlines():
            found = re.match(r"\s*(?:build/tools/)?(gradscore\s.*)", line)
            if found:
                yield found.group(1)


def blocks(text):
    found, lines, mark, i = [], text.splitlines(), "", 0
    while i < len(lines):
        comment = re.fullmatch(r"<!-- (run(?: exit=\d+)?|parse) -->", lines[i])
        if comment:
            mark = comment.group(1)
        elif lines[i].startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            found.append(Block(i + 2, "\n".join(lines[i + 1 : end]), mark))
            mark, i = "", end
        elif lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            found.append(Block(i + 1, "\n".join(line[4:] for line in lines[i:end]).rstrip(), mark))
            mark, i = "", end - 1
        elif lines[i].strip():
            mark = ""
        i += 1
    return found


def prose(text):
    """The text without its blocks of code, lines kept."""
    lines = text.splitlines()
    for block in blocks(text):
        for k in range(block.line - 1, block.line - 1 + len(block.text.splitlines())):
            lines[k] = ""
    return "\n".join(lines)


def links(text):
    for found in re.finditer(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text)):
        yield text[: found.start()].count("\n") + 1, found.group(1)


def anchors(text):
    """Anchors of headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", prose(text), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
