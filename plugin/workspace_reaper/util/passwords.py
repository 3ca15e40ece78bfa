"""Whether a text may contain a password. No message repeats such a text."""

from __future__ import annotations

import re
from urllib.parse import unquote

# A URL, or a password after its name: in a URL, in libpq's "name=value", or in JSON.
_NAMED = re.compile(r"""://|(?:pass\w*|pwd)(?:["']?\s*=|["']\s*:|:\s)""", re.IGNORECASE)

# What may be a URL that lost a character, or libpq's "name=value name=value".
_CREDENTIALS = re.compile(r"""[^@]*:[^@]*@|\s*postgres(?:ql)?(?:\+\w+)?[:/]|\s*["']?\w+\s*=.*\s""", re.IGNORECASE | re.DOTALL)


def names_password(text: str) -> bool:
    """Return whether the text contains a URL, or a password after its name. Escapes of a URL are decoded."""
    return _NAMED.search(unquote(text)) is not None


def may_contain_password(text: str) -> bool:
    """Return whether a part of the text may be a password: it has a name, or the text may be a URL that lost a character."""
    return names_password(text) or _CREDENTIALS.match(unquote(text)) is not None
