"""Jinja's words for a syntax error, said as a user of templates would."""

from __future__ import annotations

import re

SYNTAX_HELP = "{{ … }} prints a value; {% if … %} and {% for … %} end with {% endif %} and {% endfor %}"

#: Jinja's names of tokens, and what stands in the template.
_TOKENS = {
    "end of print statement": "}}",
    "end of statement block": "%}",
    "begin of print statement": "{{",
    "begin of statement block": "{%",
}


def syntax_message(words: str) -> tuple[str, str, int | None]:
    """A message, the token it speaks of, and where that stands when Jinja says so.

    Args:
        words: Jinja's message.
    """
    at = re.search(r" at (\d+)$", words)
    offset = int(at[1]) if at else None
    words = words[: at.start()] if at else words.rstrip(".")
    for name, token in _TOKENS.items():
        words = words.replace(f"'{name}'", f"'{token}'")
    words = words.replace("token 'name'", "a name")
    open_block = re.search(r"block that needs to be closed is '(\w+)'", words)
    if open_block and words.startswith("Unexpected end of template"):
        return f"template syntax: the block '{open_block[1]}' is never closed", open_block[1], offset
    tokens = re.findall(r"'([^']+)'", words)
    return f"template syntax: {words[:1].lower()}{words[1:]}", tokens[-1] if tokens else "", offset
