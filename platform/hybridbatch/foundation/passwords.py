"""Messages without passwords."""

from __future__ import annotations

import re

# Not a port: `:5000/path@version`. A slash may stand in a password, since SQLAlchemy takes it.
_IN_AUTHORITY = re.compile(r"(://[^:/@\s]*):(?!\d{1,5}[/?#])[^\s'\"]+@")
_OF_A_DATABASE = re.compile(r"((?:postgresql|mysql|s3|gs)[\w+.-]*://[^:/@\s]*):[^\s'\"]+@")  # `12/34` is no port there
_ALONE = re.compile(r"(https?://)[^:/@\s'\"]+@")  # a token in place of name and password
_IN_QUERY = re.compile(r"(?i)\b(password|sslpassword|passwd|pwd|token|secret|access_key|secret_key)=[^&\s'\"]+")


def hide_passwords(text: str) -> str:
    """Return ``text`` with every password in a URL replaced by ``***``."""
    text = _ALONE.sub(r"\1***@", _OF_A_DATABASE.sub(r"\1:***@", _IN_AUTHORITY.sub(r"\1:***@", text)))
    return _IN_QUERY.sub(r"\1=***", text)
