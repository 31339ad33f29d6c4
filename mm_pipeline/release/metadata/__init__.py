"""Metadata of the release: one module a file. Each function returns the text of its files; the caller writes them.

Not here: the history of the release (``release/history``), checksums.
"""

import json
from typing import Any


def json_text(content: Any) -> str:
    """Content as JSON in the form of the release: readable, and the same bytes for the same content."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
