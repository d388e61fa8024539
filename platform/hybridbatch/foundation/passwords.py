"""Messages without passwords."""

from __future__ import annotations

import re

# Not a port: `:5000/path@version`. A slash may stand in a password, since SQLAlchemy takes it.
_IN_AUTHORITY = re.compile(r"(://[^:/@\s]*):(?!\d{1,5}[/?#])[^\s'\"]+@")
_IN_QUERY = re.compile(r"(?i)\b(password|sslpassword|passwd|pwd|token|secret)=[^&\s'\"]+")


def hide_passwords(text: str) -> str:
    """Return ``text`` with every password in a URL replaced by ``***``."""
    return _IN_QUERY.sub(r"\1=***", _IN_AUTHORITY.sub(r"\1:***@", text))
