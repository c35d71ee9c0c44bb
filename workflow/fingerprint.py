"""Fingerprints of the source that a stage runs and of files that a user gives, so that what they hold decides reruns.

Snakemake sees a rule's shell command but none of the modules behind it. The fingerprint is a hash over the static
import closure, inside one package, of some root modules. Modules are compared as syntax trees without docstrings and
messages, so comments, formatting and words do not count. Modules that are only imported dynamically have to be named as
roots.
"""

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import accumulate
from pathlib import Path
from stat import S_ISREG

from metaplastic.io.errors import InputError

NO_RESULT = (
    "metaplastic.config",
    "metaplastic.training.progress",
    "metaplastic.training.launch",
    "metaplastic.io.memory",
)
"""Modules whose code changes no result: config reaches stages as parameters, and neither progress nor launching nor
checks of memory change a number. Of a `spec.py` only numbers, facts and methods count."""
NO_STATE = (*NO_RESULT, "metaplastic.io.storage", "metaplastic.io.tensors", "metaplastic.io.errors")
"""Further modules that a saved state does not depend on: how results are written, and messages of errors."""
READ, PAGE = 1 << 24, 1 << 12
"""Most bytes of a file or folder that planning reads, and bytes that each file counts at least."""


class Code:
    """Fingerprints of the code of a package that stages run.

    Args:
        package: its folder.
    """

    def __init__(self, package: Path) -> None:
        self.package = package
        # Hundreds of jobs have the same fingerprint.
        self._fingerprint = cache(partial(fingerprint, package, files=_files(package)))

    def of_stage(self, stage: str, *modules: str, checks: tuple[str, ...] = ()) -> str:
        """Return the fingerprint of a stage and of the modules that it imports by name.

        Args:
            stage: a module of `stages`.
            modules: dotted names.
            checks: modules that the stage only checks its input with.

        Raises:
            InputError: the source does not parse.
        """
        return self._of(f"stage {stage}", (*NO_RESULT, *checks), f"{self.package.name}.stages.{stage}", *modules)

    def of_state(self, *modules: str) -> str:
        """Return the fingerprint of the code that the saved states of a run depend on, beginning with `modules`.

        Raises:
            InputError: the source does not parse.
        """
        return self._of(modules[0], NO_STATE, *modules, f"{self.package.name}.io.jax_settings")

    def _of(self, place: str, without: tuple[str, ...], *roots: str) -> str:
        try:
            return self._fingerprint(*roots, without=without)
        except InputError as error:
            raise InputError(f"source of {place}: {error}") from error


def of_files(paths: Iterable[str | Path]) -> str:
    """Return the first 12 hex digits of a SHA-256 over what files hold, and all files below folders but hidden ones.

    Where that is much, sizes, times and inodes stand for it.

    Raises:
        InputError: a file cannot be read.
    """
    return hashlib.sha256("".join(_of_file(str(path)) for path in paths).encode()).hexdigest()[:12]


@cache
def _of_file(path: str) -> str:
    try:
        # Links below a folder stand for themselves; no source of data follows them.
        states = dict(_below(path)) if os.path.isdir(path) else {path: os.stat(path)}
        small = sum(max(state.st_size, PAGE) for state in states.values()) <= READ
        digest = hashlib.sha256()
        for file, state in sorted(states.items()):
            read = small and S_ISREG(state.st_mode)
            held = Path(file).read_bytes() if read else f"{state.st_mtime_ns} {state.st_ino}".encode()
            digest.update(os.fsencode(f"{file[len(path) :]}\0{state.st_size}\0") + held)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}; mend that and run again") from error
    return digest.hexdigest()


def _below(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in os.scandir(folder):
        if entry.name[0] == ".":
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        else:
            yield entry.path, entry.stat(follow_symlinks=False)


def fingerprint(
    package: Path, *roots: str, without: Sequence[str] = (), files: Mapping[str, Path] | None = None
) -> str:
    """Return the first 12 hex digits of a SHA-256 over the names and syntax trees of `closure(package, *roots)`.

    `without` names modules and subpackages that do not count, `files` the file of every module where that is known.

    Raises:
        InputError: see `closure`.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(closure(package, *roots, files=files).items()):
        # The package itself only lists its public names.
        if name == package.name or any(f"{name}.".startswith(f"{left_out}.") for left_out in without):
            continue
        digest.update(f"{name} {tree}\n".encode())
    return digest.hexdigest()[:12]


def closure(package: Path, *roots: str, files: Mapping[str, Path] | None = None) -> dict[str, str]:
    """Return the syntax-tree hash of every module of the folder `package` that `roots` import, by dotted name.

    Raises:
        InputError: a root is not a module of the package, or a module does not parse.
    """
    files = files or _files(package)
    for root in roots:
        if root not in files:
            raise InputError(f"{root}: no such module in {package}")
    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        file = files.get(name)
        if name in found or not file:
            continue
        found[name], imported = _read(file, name)
        # Importing a module runs the `__init__` of every package above it.
        waiting += [above for target in (name, *imported) for above in accumulate(target.split("."), "{}.{}".format)]
    return found


def _files(package: Path) -> dict[str, Path]:
    """Return the file of every module by its dotted name. A package comes before a module of its name, as in Python."""
    files = {".".join(file.relative_to(package.parent).with_suffix("").parts): file for file in package.rglob("*.py")}
    packages = {name.removesuffix(".__init__"): file for name, file in files.items() if name.endswith(".__init__")}
    return files | packages


def _read(file: Path, name: str) -> tuple[str, frozenset[str]]:
    try:
        return _analyse(file.read_text(encoding="utf-8"), name, file.name == "__init__.py")
    except SyntaxError as error:
        raise InputError(f"{file}:{error.lineno}: {error.msg}") from error


@cache
def _analyse(source: str, name: str, is_package: bool) -> tuple[str, frozenset[str]]:
    """Return the hash of a module's syntax tree, and the dotted names that it may import."""
    imported: list[ast.Import | ast.ImportFrom] = []
    body = ast.parse(source).body
    text = _text(body, imported)
    home = name.split(".") if is_package else name.split(".")[:-1]
    if name.endswith(".spec"):
        text = _text(list(_counted(body)), [])
    return hashlib.sha256(text.encode()).hexdigest(), frozenset(
        found for each in imported for found in _names(each, home)
    )


def _text(node: object, imported: list[ast.Import | ast.ImportFrom]) -> str:
    """Return a text that equal code has, however it is written, and add to `imported` the imports in it."""
    if isinstance(node, list):
        return ",".join(filter(None, [_text(item, imported) for item in node]))
    if isinstance(node, ast.stmt):
        match node:
            case ast.Expr(ast.Constant(str()) | ast.Call(ast.Attribute(ast.Name("log")))):
                return ""
            case ast.Assign([ast.Name("CAPTION")], ast.Constant(str())):
                return ""
            case ast.If(ast.Name("TYPE_CHECKING"), orelse=otherwise):
                return _text(otherwise, imported)
            case ast.Raise(ast.Call(error)):
                node = ast.Raise(error, node.cause)
            case ast.Import() | ast.ImportFrom():
                imported.append(node)
    if isinstance(node, ast.AST):
        return f"{type(node).__name__}({';'.join([_text(getattr(node, field), imported) for field in node._fields])})"
    return repr(node)


def _names(statement: ast.Import | ast.ImportFrom, home: list[str]) -> Iterator[str]:
    """Yield the dotted names that an import in the package `home` may mean; only modules have a file later on."""
    base = ""
    if isinstance(statement, ast.ImportFrom):
        above = home[: len(home) - statement.level + 1] if statement.level else []
        yield (base := ".".join([*above, *([statement.module] if statement.module else [])]))
    yield from (f"{base}.{alias.name}".lstrip(".") for alias in statement.names)


def _counted(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what a `spec.py` computes with: its numbers, and its sections' facts and methods; no fields, no checks."""
    for node in (node for statement in body for node in getattr(statement, "body", [statement])):
        match node:
            case ast.FunctionDef(decorator_list=decorators) if "validator" not in "".join(map(ast.dump, decorators)):
                yield node
            case ast.Assign(value=ast.Constant(int() | float())) | ast.AnnAssign(
                ast.Name(), ast.Subscript(ast.Name("ClassVar"))
            ):
                yield node
