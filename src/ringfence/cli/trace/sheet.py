"""A page of a trace as it is written: labelled, wrapped, indented lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ringfence.analysis.branch import Step
from ringfence.cli.terminal.style import Paint, Style
from ringfence.cli.terminal.text import cut, harmless, harmless_lines, pad, wrap

_LABEL_CELLS = 10
_LEAST_CELLS = 24
_MOST_LINES = 12


class Sheet:
    """Collects lines. Everything given to it is made harmless before it is painted."""

    def __init__(self, style: Style, width: int, *, is_full: bool) -> None:
        """Begin empty. Long texts are shortened unless it is full."""
        self.style = style
        self.is_full = is_full
        self.lines: list[str] = []
        self._width = width
        self._indents: list[str] = []
        self.steps: Mapping[str, Step] = {}
        """Those of the invocation that is being written, by their action."""

    def named(self, action: str) -> str:
        """How an action is told of: by its number, where it stands on the same page."""
        found = self.steps.get(action)
        return action if found is None else f"step {found.number}"

    @contextmanager
    def about(self, steps: Sequence[Step]) -> Iterator[None]:
        """What is written within is of these steps."""
        before, self.steps = self.steps, {each.action: each for each in steps}
        try:
            yield
        finally:
            self.steps = before

    def blank(self) -> None:
        """An empty line."""
        self.lines.append("".join(self._indents).rstrip())

    def line(self, *words: tuple[str, Paint | None]) -> None:
        """Words on one line, each painted in its own way."""
        shown = (harmless(text) for text, _ in words)
        painted = (
            text if paint is None else paint(text)
            for text, (_, paint) in zip(shown, words, strict=True)
        )
        self.lines.append("".join((*self._indents, *painted)).rstrip())

    def text(
        self, label: str, text: str, paint: Paint | None = None, *, most: int = _MOST_LINES
    ) -> None:
        """A text beside its label, wrapped, in `most` lines; nothing if it is blank."""
        if not text.strip():
            return
        cells = max(_LEAST_CELLS, self._width - len("".join(self._indents)) - _LABEL_CELLS - 1)
        whole = [piece for line in harmless_lines(text.strip("\n")) for piece in wrap(line, cells)]
        kept = whole if self.is_full else whole[:most]
        rest = len(whole) - len(kept)
        for index, piece in enumerate(kept):
            head = pad(cut(harmless(label), _LABEL_CELLS), _LABEL_CELLS) if index == 0 else ""
            shown = piece if paint is None else paint(piece)
            self._labelled(head, shown)
        if rest:
            self._labelled("", self.style.dim(f"… {rest} more lines; --full shows them"))

    @contextmanager
    def indented(self, by: str) -> Iterator[None]:
        """Put this before every line written within."""
        self._indents.append(by)
        try:
            yield
        finally:
            self._indents.pop()

    def _labelled(self, label: str, shown: str) -> None:
        cells = pad(label, _LABEL_CELLS)
        head = self.style.dim(cells) if label else cells
        self.lines.append("".join((*self._indents, head, " ", shown)).rstrip())
