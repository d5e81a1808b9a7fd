"""Every link of the built site leads somewhere, and every page is in its navigation: what `make docs` asks last."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).parents[2]
SITE: Final = ROOT / "docs-site"
SHOWN_MAX: Final = 40


class Page(HTMLParser):
    """What a page links to, and what it has that can be linked to."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.links = list[str]()
        self.anchors = set[str]()
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.links.append(value)
            elif name in {"id", "name"} and value:
                self.anchors.add(value)


def dead_links(site: Path) -> tuple[list[str], int]:
    """Each link within *site* that leads nowhere, after the page that has it; and how many were looked at."""
    pages = {path.resolve(): Page(path.read_text()) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    dead, count = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("#__"):  # Of the theme's own switches.
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            known = pages.get(target)
            if not target.exists() or (parts.fragment and known and unquote(parts.fragment) not in known.anchors):
                dead.append(f"{path.relative_to(site.resolve())}: {link}")
    return dead, count


def left_out(nav: str, pages: Path) -> list[str]:
    """The documents under *pages* that *nav*, the text of mkdocs.yml, does not name once. Decisions have a list."""
    names = [str(path.relative_to(pages)) for path in sorted(pages.rglob("*.md")) if path.parent.name != "decisions"]
    return [name for name in names if nav.count(f": {name}\n") != 1]


def main() -> int:
    """Exit code 1 if a link leads nowhere, or nothing leads to a page."""
    dead, count = dead_links(SITE)
    lost = left_out((ROOT / "mkdocs.yml").read_text(), ROOT / "docs")
    for line in [*dead[:SHOWN_MAX], *(f"{name}: add it to nav in mkdocs.yml" for name in lost)]:
        print(line)  # noqa: T201
    print(f"{count} links, {len(dead)} of them dead; {len(lost)} pages not in the navigation")  # noqa: T201
    return 1 if dead or lost or not count else 0


if __name__ == "__main__":
    sys.exit(main())
