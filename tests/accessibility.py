"""What axe-core and a phone say against a page."""

from typing import TYPE_CHECKING

import pytest

from settings import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = ROOT / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = 390  # pixels, of a common telephone
SMALLEST_TEXT = 11  # pixels
NARROW = """([width, smallest]) => {
    const found = [], wide = document.documentElement.scrollWidth;
    if (wide > width) found.push(`the page is ${wide} pixels wide`);
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const text = walk.currentNode.data.trim().slice(0, 40), place = walk.currentNode.parentElement;
        const size = parseFloat(getComputedStyle(place).fontSize);
        if (text && place.checkVisibility() && size < smallest) found.push(`"${text}" in ${size} pixels`);
    }
    return found;
}"""
RULES = """() => axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(
    result => result.violations.flatMap(one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 200)}`)))"""
OPEN = "() => document.querySelectorAll('details').forEach(one => { one.open = true; })"


def against_a_phone(page: "Page") -> list[str]:
    """Of a page opened at the width of a phone: that its body is wider, and text too small to read."""
    page.evaluate(OPEN)  # what is folded is part of the page
    return page.evaluate(NARROW, [PHONE, SMALLEST_TEXT])


def against_its_accessibility(page: "Page") -> list[str]:
    """The violations that axe-core finds: of WCAG 2.2 at levels A and AA, and of its best practices."""
    if not AXE.is_file():
        pytest.skip("needs axe-core: make test-page")
    page.evaluate(OPEN)
    page.evaluate(AXE.read_text())
    return page.evaluate(RULES)
