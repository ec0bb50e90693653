"""Formulas of pages as MathML, which browsers draw by themselves, without a script and without a network."""

import html
import re

from latex2mathml.converter import convert

_MARKED = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_CODE = re.compile(r"(<(pre|code|script|style|svg|math)\b.*?</\2>|<[^>]+>)", re.DOTALL)
_DOLLARS = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?![\s$])((?:[^$\n]|\n(?!\n))+?)(?<![\s\\])\$(?![\w$])", re.DOTALL)


_STYLED = re.compile(r'<mi mathvariant="([\w-]+)">(.*?)</mi>')
_MATRIX = re.compile(r"<mo>&#x0005B;</mo><mtable>(.*?)</mtable><mo>&#x0005D;</mo>")
_FIRST = {"bold": (0x1D400, 0x1D41A, 0x1D6A8, 0x1D6C2), "bold-italic": (0x1D468, 0x1D482, 0x1D71C, 0x1D736)}
"""Where A, a, Α, α of each style begin in Unicode: browsers do not heed the style itself."""


def with_mathml(page: str) -> str:
    """Return the HTML of a page with the formulas that arithmatex has marked as MathML."""
    return _MARKED.sub(lambda found: _formula(found[3], is_block=found[2] == "["), page)


def with_mathml_of_notebook(page: str) -> str:
    """Return the HTML of a notebook with what stands between dollar signs, outside of code, as MathML."""
    parts = _CODE.split(page)
    # between two pieces of text there are two groups: a tag or a piece of code, and its name
    for k in range(0, len(parts), 3):
        parts[k] = _DOLLARS.sub(lambda found: _formula(found[1] or found[2], is_block=bool(found[1])), parts[k])
    return "".join(part for k, part in enumerate(parts) if k % 3 < 2)


def _formula(latex: str, *, is_block: bool) -> str:
    formula = convert(html.unescape(latex).strip(), display="block" if is_block else "inline")
    # brackets grow only where there is a font for formulas; borders do everywhere
    formula = _MATRIX.sub(r'<mtable class="bracketed">\1</mtable>', _STYLED.sub(_plain, formula))
    return f'<div class="formula">{formula}</div>' if is_block else formula


def _plain(found: re.Match[str]) -> str:
    return f'<mi mathvariant="normal">{_in_style(html.unescape(found[2]), found[1])}</mi>'


def _in_style(letters: str, style: str) -> str:
    """Letters as bold ones of Unicode; upright where there are none."""
    return "".join(_bold(letter, _FIRST[style]) for letter in letters) if style in _FIRST else letters


def _bold(letter: str, firsts: tuple[int, ...]) -> str:
    for start, place in zip("AaΑα", firsts, strict=True):
        if 0 <= ord(letter) - ord(start) < 26:
            return chr(place + ord(letter) - ord(start))
    return letter
