"""Imports run one way: crawl reads what poison judges, and poison knows nothing of archives."""

import ast
from pathlib import Path

POISON = Path(__file__).parents[2] / "pipeline" / "poison"


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def test_poison_does_not_import_crawl() -> None:
    modules = sorted(POISON.glob("*.py"))
    assert len(modules) > 30
    assert [path.name for path in modules if any(name.startswith("pipeline.crawl") for name in imported(path))] == []
