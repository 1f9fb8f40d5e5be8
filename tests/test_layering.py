"""Imports flow one way: a module of codeit imports only from those before it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "codeit"

ORDER = [
    "codeit.config",
    "codeit._engine",
    "codeit.language",
    "codeit.language.rewriting",
    "codeit.language.types",
    "codeit.data.tasks",
    "codeit.parallel",
    "codeit.data.experts",
    "codeit.search.mutation",
    "codeit.evaluation.hindsight",
    "codeit.storage.files",
    "codeit.storage.database",
    "codeit.evaluation.scoring",
    "codeit.storage.search_log",
    "codeit.experiments.mutation_baseline",
    "codeit.seeds",
    "codeit.policy.corpus",
    "codeit.search.evolution",
    "codeit.storage.replay_buffer",
    "codeit.policy",
    "codeit.policy.grid_tokens",
    "codeit.policy.property_signatures",
    "codeit.policy.encoding",
    "codeit.policy.grammar",
    "codeit.policy.model",
    "codeit.policy.sampling",
    "codeit.policy.training",
    "codeit.policy.test_time_training",
    "codeit.solve",
    "codeit.experiments.submission",
    "codeit.experiments.policy_evaluation",
    "codeit.policy.pretraining",
    "codeit.storage.run_directory",
    "codeit.loop",
    "codeit.report",
    "codeit.report.curve",
    "codeit.report.blocks",
    "codeit.report.terminal",
    "codeit.report.pictures",
    "codeit.report.explain",
    "codeit.report.sheet",
    "codeit.report.page",
    "codeit.report.svg",
    "codeit.report.runs",
    "codeit.report.queries",
    "codeit.report.run_page",
    "codeit.cli.console",
    "codeit.cli.show",
    "codeit.cli.solve",
    "codeit.cli",
    "codeit.__main__",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place(module: str) -> int:
    """A module's place in the order; a module that is not named there has its package's."""
    while module not in ORDER:
        module, _, name = module.rpartition(".")
        assert module and module != "codeit", f"say in ORDER where codeit.{name} belongs"
    return ORDER.index(module)


def imports(path: Path) -> set[tuple[int, str]]:
    """(line, module) of every import of codeit in a file, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(node.lineno, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute"
            if node.module == "codeit":
                found |= {(node.lineno, f"codeit.{alias.name}") for alias in node.names}
            else:
                found.add((node.lineno, node.module or ""))
    return {(line, module) for line, module in found if module.split(".")[0] == "codeit"}


def test_each_module_imports_only_from_those_before_it() -> None:
    wrong = []
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 10
    for path in files:
        own = module_name(path)
        if own == "codeit":
            assert not imports(path), "the package itself imports nothing of itself"
            continue
        for line, module in sorted(imports(path)):
            if place(module) >= place(own):
                wrong.append(f"{path}, line {line}: {own} imports {module}, which comes after it")
    assert not wrong, "\n".join(wrong)


def test_a_cycle_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("def f():\n    from codeit import loop\n    import codeit.cli\nimport numpy\n")
    assert imports(path) == {(2, "codeit.loop"), (3, "codeit.cli")}
