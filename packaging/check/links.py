#!/usr/bin/env python3
"""links.py : every relative link in the project's Markdown leads to a file that is there, and its #anchor to a heading in it;
every test that a table of tests names is there."""
import os, re, subprocess, sys
from urllib.parse import unquote

FENCE = re.compile(r"^(```|~~~).*?^\1", re.S | re.M)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.M)


def files(*patterns):
    # What is new and not yet committed counts, what is ignored does not.
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *patterns], check=True, capture_output=True, text=True).stdout
    return sorted(f for f in set(listed.split("\0")) if f and os.path.exists(f))


def anchors(path):
    """The anchors of a file's headings, as forges make them."""
    seen, out = {}, set()
    text = FENCE.sub("", open(path, encoding="utf-8").read())
    for title in re.findall(r"^#{1,6}\s+(.*?)\s*#*\s*$", text, re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        n = seen[slug] = seen.get(slug, -1) + 1
        out.add(f"{slug}-{n}" if n else slug)
    return out | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
root, wrong, count = os.getcwd(), [], 0
pages = files("*.md")
for page in pages:
    text = FENCE.sub("", open(page, encoding="utf-8").read())
    text = re.sub(r"`[^`\n]*`", "", text)
    for match in LINK.finditer(text):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        count += 1
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), unquote(path))) if path else page
        if target.startswith("..") or os.path.isabs(target):
            wrong.append(f"{page}: {link} leads out of the project")
        elif not os.path.exists(target):
            wrong.append(f"{page}: {link} leads nowhere")
        elif anchor and target.endswith(".md") and anchor not in anchors(target):
            wrong.append(f"{page}: {link} names a heading that {target} has not")
tests = set(re.findall(r"\bfn (\w+)\(\)", "".join(open(f, encoding="utf-8").read() for f in files("*.rs"))))
for page in pages:
    table = re.search(r"^\| promise \| tests \|$.*?(?:^$|\Z)", open(page, encoding="utf-8").read(), re.S | re.M)
    named = re.findall(r"`(\w+_\w+)`", table.group()) if table else []
    wrong += [f"{page}: {name} is no test" for name in named if name not in tests]
for line in wrong:
    print("links:", line, file=sys.stderr)
if wrong:
    sys.exit(1)
print(f"links: {count} in {len(pages)} pages, all lead somewhere")
