"""Patterns that exclude or include paths, with restic's meaning.

Rules (restic, `internal/filter`, and Go's `filepath.Match`, which it uses for each component):

- a pattern is cut at `/`; each component is a glob (`*`, `?`, `[a-z]`, `[^a-z]`, `\\` escapes) that never
  matches `/`;
- a pattern that starts with `/` is tied to the root, any other matches consecutive components at any depth;
- a component `**` stands for any number of components, none included;
- whatever matches, matches with everything below it;
- a pattern that starts with `!` takes back what earlier patterns matched; the last match decides.

Paths are compared as text, so `?` is one character of UTF-8; bytes that are not UTF-8 count one each.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from config.errors import StrongroomError

MAX_PATTERN_LENGTH: Final = 4096
MAX_PATTERNS: Final = 10_000


class PatternError(StrongroomError):
    """A pattern that means nothing."""

    def __init__(self, pattern: str, why: str) -> None:
        shown = pattern if len(pattern) <= 100 else f"{pattern[:100]}..."
        super().__init__(
            f"bad pattern {shown!r}: {why}", remedy="see the manual on patterns, or quote with \\"
        )


@dataclass(frozen=True, slots=True)
class Patterns:
    """A parsed list of patterns. Make it with `parse`; the empty list is false and matches nothing."""

    sources: tuple[str, ...] = ()
    _names: re.Pattern[str] | None = None  # patterns of one component: only an entry's name need be compared
    _paths: re.Pattern[str] | None = None  # the others, against the whole path
    _subtree: re.Pattern[str] | None = None  # all, against the path or any parent
    _above: re.Pattern[str] | None = None  # which paths can have a match below them
    _ordered: tuple[tuple[bool, re.Pattern[str]], ...] = ()  # (takes back, subtree), only when one takes back

    @classmethod
    def parse(cls, patterns: Sequence[str]) -> Self:
        """Parses patterns as a person wrote them; undecodable bytes as Python's surrogate escapes.

        Raises:
            PatternError: an empty or overlong pattern, an unclosed `[`, a reversed range, a trailing `\\`,
                `..`.
        """
        if not patterns:
            return cls()
        if len(patterns) > MAX_PATTERNS:
            raise PatternError(
                patterns[0], f"and {len(patterns) - 1} more: the limit is {MAX_PATTERNS} patterns"
            )
        rules = [_parse(pattern) for pattern in patterns]
        plain = [rule for rule in rules if not rule.takes_back]
        takes_back = len(plain) < len(rules)
        return cls(
            sources=tuple(patterns),
            _names=_any_of([r.components[1] for r in plain if r.bare]),
            _paths=_any_of([r.exact() for r in plain if not r.bare]),
            _subtree=_any_of([r.subtree() for r in plain]),
            _above=_any_of([r.above() for r in plain]),
            _ordered=tuple((r.takes_back, re.compile(r.subtree(), re.DOTALL)) for r in rules)
            if takes_back
            else (),
        )

    def __bool__(self) -> bool:
        return bool(self.sources)

    def matches(self, path: bytes) -> bool:
        """Whether `path`, or any directory above it, matches. `path` is absolute."""
        if self._subtree is None:
            return False
        text = path.decode("utf-8", "surrogateescape")
        if self._ordered:
            return self._last_match(text)
        return self._subtree.fullmatch(text) is not None

    def matches_child(self, path: bytes, name: bytes) -> bool:
        """The same as `matches(path)`, quicker, for a caller who knows that no directory above matches.

        `name` is the last component of `path`.
        """
        if self._ordered:
            return self._last_match(path.decode("utf-8", "surrogateescape"))
        if self._names is not None and self._names.fullmatch(name.decode("utf-8", "surrogateescape")):
            return True
        return (
            self._paths is not None
            and self._paths.fullmatch(path.decode("utf-8", "surrogateescape")) is not None
        )

    def may_contain(self, path: bytes) -> bool:
        """Whether something below the directory `path` can match: False means that no one need look there."""
        return (
            self._above is not None
            and self._above.fullmatch(path.decode("utf-8", "surrogateescape")) is not None
        )

    def _last_match(self, text: str) -> bool:
        matched = False
        for takes_back, rule in self._ordered:
            if matched == takes_back and rule.fullmatch(text):
                matched = not takes_back
        return matched


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern, tied to the root; `components` are regular expressions for one name each, or `**`."""

    takes_back: bool
    components: tuple[str, ...]

    @property
    def bare(self) -> bool:
        """Whether it is a single glob at any depth."""
        return len(self.components) == 2 and self.components[0] == "**" != self.components[1]

    def exact(self) -> str:
        """For the paths that match by themselves.

        Only the last `**` may backtrack: for those before it the first match is as good as any, so they are
        atomic.
        """
        first, *runs = self._runs()
        middle = "".join(f"(?>(?:/[^/]+)*?{run})" for run in runs[:-1])
        last = f"(?:/[^/]+)*{runs[-1]}" if runs else ""
        return first + middle + last

    def subtree(self) -> str:
        """For those and everything below them."""
        return f"{self.exact()}(?:/.*)?" if self.components else ".*"

    def above(self) -> str:
        """The root, and each path as deep as the fixed part of the pattern; everything once it can float."""
        inside = "(?:/.*)?"
        fixed = self.components[: self.components.index("**")] if "**" in self.components else self.components
        for component in reversed(fixed):
            inside = f"(?:/{component}{inside})?"
        return f"/|{inside}"

    def _runs(self) -> list[str]:
        """The expressions between one `**` and the next; each component must end where a name ends."""
        runs = [""]
        for component in self.components:
            if component == "**":
                runs.append("")
            else:
                runs[-1] += f"/{component}(?![^/])"
        return runs


def _any_of(expressions: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{e})" for e in expressions), re.DOTALL) if expressions else None


def _parse(pattern: str) -> _Rule:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise PatternError(pattern, f"longer than {MAX_PATTERN_LENGTH} characters")
    takes_back = pattern.startswith("!")
    body = pattern[1:] if takes_back else pattern
    if not body.strip() or "\0" in body:
        raise PatternError(pattern, "it is empty or holds a NUL")
    rooted = body.startswith("/")
    names = [name for name in body.split("/") if name not in ("", ".")]
    if ".." in names or not (names or rooted):
        raise PatternError(pattern, "'.' and '..' never occur in a stored path")
    components: list[str] = [] if rooted else ["**"]
    for name in names:
        if name != "**":
            components.append(_glob(pattern, name))
        elif components[-1:] != ["**"]:  # two in a row say nothing more than one
            components.append(name)
    return _Rule(takes_back, tuple(components))


def _glob(pattern: str, name: str) -> str:
    """One component as an expression; of several `*` only the last may backtrack (as in `fnmatch`)."""
    runs = [""]
    at = 0
    while at < len(name):
        char = name[at]
        at += 1
        if char == "*":
            if runs[-1] or len(runs) == 1:
                runs.append("")
        elif char == "?":
            runs[-1] += "[^/]"
        elif char == "[":
            expression, at = _character_class(pattern, name, at)
            runs[-1] += expression
        elif char == "\\":
            if at == len(name):
                raise PatternError(pattern, "it ends in a backslash that quotes nothing")
            runs[-1] += re.escape(name[at])
            at += 1
        else:
            runs[-1] += re.escape(char)
    first, *rest = runs
    middle = "".join(f"(?>[^/]*?{run})" for run in rest[:-1])
    return first + middle + (f"[^/]*{rest[-1]}" if rest else "")


def _character_class(pattern: str, name: str, at: int) -> tuple[str, int]:
    """A `[...]` whose content begins at `at`: its expression, and the place after its end."""
    negated = name[at : at + 1] == "^"
    at += negated
    members: list[str] = []
    while not members or name[at : at + 1] != "]":
        low, at = _member(pattern, name, at)
        high = low
        if name[at : at + 1] == "-":
            high, at = _member(pattern, name, at + 1)
        if high < low:
            raise PatternError(pattern, f"the range {low}-{high} is reversed")
        members.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"(?!/)[{'^' if negated else ''}{''.join(members)}]", at + 1


def _member(pattern: str, name: str, at: int) -> tuple[str, int]:
    """One member of a class: Go refuses a bare `-` and a bare `]` there."""
    char = name[at : at + 1]
    if char == "\\":
        at += 1
        char = name[at : at + 1]
    elif char in ("-", "]"):
        raise PatternError(pattern, f"quote {char} inside [ ] with a backslash")
    if not char:
        raise PatternError(pattern, "[ is not closed")
    return char, at + 1
