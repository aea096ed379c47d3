#!/usr/bin/env python3
"""Builds the documentation as a site with mdBook, and checks each link in it.

usage: docs/site.py FOLDER [MDBOOK ..]

FOLDER/html is the site. MDBOOK is the command that runs mdBook, `mdbook` by default. docs/README.md is the
table of contents; pages that it leads to indirectly come last.
"""

import html.parser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTENTS = pathlib.PurePosixPath("docs/README.md")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
BOOK = """[book]
title = "TSM2 Edge"
language = "en"
src = "src"

[build]
build-dir = "html"

[output.html]
no-section-label = true
smart-punctuation = false
"""


def prose(text):
    """The text without its blocks of code."""
    return re.sub(r"^( *)```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)


def local(page, link):
    """The file of this repository that a link leads to; None for other links."""
    path = urllib.parse.unquote(link.split("#")[0])
    if not path or "://" in link or link.startswith("mailto:"):
        return None
    return pathlib.PurePosixPath(os.path.normpath(page.parent / path))


def reached():
    """All files that the table of contents leads to, in the order of their links."""
    found, waiting = {}, [CONTENTS]
    while waiting:
        file = waiting.pop(0)
        if file in found:
            continue
        found[file] = None
        if file.suffix == ".md":
            text = prose((ROOT / file).read_text(encoding="utf-8"))
            waiting += [target for _, link in LINK.findall(text) if (target := local(file, link)) and target not in found]
    return list(found)


def named(file):
    """The file in the book: a README is its folder's first page."""
    return file.with_name("index.md") if file.name == "README.md" else file


def title(file):
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line[2:].replace("`", "")
    return str(file)


def summary(pages):
    """mdBook's SUMMARY.md: the sections and links of the table of contents, then the other pages."""
    lines, listed = ["# Summary", "", f"[{title(CONTENTS)}]({named(CONTENTS)})", ""], {CONTENTS}
    for line in (ROOT / CONTENTS).read_text(encoding="utf-8").splitlines():
        if section := re.fullmatch(r"\*\*(.+)\*\*", line):
            lines += ["", f"# {section[1]}", ""]
        elif line.startswith("- "):
            for text, link in LINK.findall(line):
                page = local(CONTENTS, link)
                if page in pages and page not in listed:
                    listed.add(page)
                    lines.append(f"- [{text}]({named(page)})")
    lines += ["", "# More", ""]
    lines += [f"- [{title(page)}]({named(page)})" for page in pages if page not in listed]
    return "\n".join(lines) + "\n"


class Page(html.parser.HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def dead_links(site):
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        if path.name in ("print.html", "404.html", "toc.html"):
            continue
        for link in page.links:
            url = urllib.parse.urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                yield f"{path.relative_to(site)}: {link}"
            elif url.fragment and target in pages and urllib.parse.unquote(url.fragment) not in pages[target].anchors:
                yield f"{path.relative_to(site)}: {link}: no such heading"


def main():
    folder, mdbook = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:] or ["mdbook"]
    shutil.rmtree(folder, ignore_errors=True)
    files = reached()
    missing = [str(file) for file in files if not (ROOT / file).is_file()]
    if missing:
        sys.exit(f"links must lead to files, not to: {', '.join(missing)}")
    unlisted = [page.relative_to(ROOT) for page in sorted((ROOT / "docs").rglob("*.md"))]
    unlisted = [str(page) for page in unlisted if pathlib.PurePosixPath(page) not in files]
    if unlisted:
        sys.exit(f"docs/README.md does not lead to {', '.join(unlisted)}")
    for file in files:
        copy = folder / "src" / named(file)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            text = (ROOT / file).read_text(encoding="utf-8")
            copy.write_text(re.sub(r"(\]\([^)\s]*)README\.md", r"\1index.md", text), encoding="utf-8")
        else:
            shutil.copyfile(ROOT / file, copy)
    pages = [file for file in files if file.suffix == ".md"]
    (folder / "src/SUMMARY.md").write_text(summary(pages), encoding="utf-8")
    (folder / "book.toml").write_text(BOOK, encoding="utf-8")
    subprocess.run([*mdbook, "build"], cwd=folder, check=True)
    # Debian's mdBook comes without fonts, and asks for them.
    (folder / "html/fonts").mkdir(exist_ok=True)
    (folder / "html/fonts/fonts.css").touch()
    # mdBook's own is a copy of the first page, whose links lead elsewhere from there.
    start = pathlib.PurePosixPath(named(CONTENTS)).with_suffix(".html")
    (folder / "html/index.html").write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={start}">', encoding="utf-8")
    dead = sorted(set(dead_links(folder / "html")))
    print("\n".join(dead))
    print(f"{len(pages)} pages, {len(dead)} dead links")
    sys.exit(bool(dead))


main()
