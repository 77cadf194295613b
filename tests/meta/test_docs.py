"""What the pages say twice, or take from the code, is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from enterprise_gateway.config.names import DEPRECATED, IGNORED_PREFIXES, SYNONYMS, UNSUPPORTED, Setting, variable
from enterprise_gateway.config.sections import sections
from persistence.kernel_session_manager import KernelSessionManager
from scripts.cluster import NGINX_CONF
from tests.meta.sources import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
KNOWN = {
    *(variable(Setting(section, name)) for section, owner in sections().items() for name in owner.class_traits()),
    *DEPRECATED,
    *SYNONYMS,
    *UNSUPPORTED,
    "EG_LOG_LEVEL",
}


def words(path: Path) -> str:
    """A page's text without its line ends."""
    return " ".join(path.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_variables_that_there_are(page: Path) -> None:
    named = set(re.findall(r"\bEG_[A-Z][A-Z_]*[A-Z]\b(?!_)", page.read_text(encoding="utf-8")))

    assert [name for name in sorted(named - KNOWN) if not name.startswith(IGNORED_PREFIXES)] == []


def test_how_a_sealing_key_is_replaced_is_told_once() -> None:
    told = re.search(r"To replace a key: .* answer 503\.", KernelSessionManager.class_traits()["sealing_keys"].help)

    assert told is not None
    assert told[0] in words(ROOT / "docs" / "operation.md")


def test_the_nginx_of_the_docs_is_the_one_that_is_tried() -> None:
    page = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
    example = page[page.index("upstream gateways") : page.index("`max_fails=0`:")]
    told = set(re.findall(r"proxy_(?!pass)\w+ [^;]+;", example))
    tried = set(re.findall(r"proxy_(?!pass)\w+ [^;]+;", NGINX_CONF))

    assert {one for one in tried if "temp_path" not in one} - told == set()
    assert {one for one in told if "X-Forwarded" not in one} - tried == set()
    assert example.count("max_fails=0;") == 2
