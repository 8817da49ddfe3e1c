"""The code that stands in a page of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / 'docs'


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of code of one language in a page, in their order.

    :param page: path within `docs`, ``howto/python.md``.
    """
    text = (DOCS / page).read_text(encoding='utf-8')
    return re.findall(rf'^```{language}\n(.*?)^```$', text, flags=re.MULTILINE | re.DOTALL)
