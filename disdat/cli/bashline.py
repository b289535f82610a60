"""A line as bash has it when a word is to be completed: its words, and what readline inserts for one."""

from __future__ import annotations

_SPECIAL = set(" \t'\"\\$`!&;|<>()[]{}*?~#^")
_OPERATORS = set(";|&(\n")


class Line:
    """A line as a shell reads it: its words, the last of which may be empty or in a quote that is still open."""

    def __init__(self, line: str) -> None:
        self.words: list[str] = [""]
        self.quote = ""
        self._begun = False
        rest = iter(line)
        for each in rest:
            if each == "\\" and self.quote != "'":
                self._add(next(rest, ""))
            else:
                self._take(each)

    def insertions(self, found: list[str], *, last: str) -> list[str]:
        """
        What readline inserts for each word of *found*, which completes the last one of the line.

        Readline breaks words at characters such as ``:`` and ``@`` too: *last* is what it takes for the last one, and
        replaces. It wants words quoted as they are typed.
        """
        word = self.words[-1]
        kept = len(word) - len(last if self.quote else Line(last).words[-1])
        return [_quoted(each[max(0, kept) :], self.quote) for each in found if self.quote != "'" or "'" not in each]

    def _take(self, character: str) -> None:
        if self.quote:
            if character == self.quote:
                self.quote = ""
            else:
                self._add(character)
        elif character in "'\"":
            self.quote, self._begun = character, True
        elif character in _OPERATORS:
            self.words, self._begun = [""], False  # another command begins
        elif character in " \t":
            if self._begun:
                self.words.append("")
            self._begun = False
        else:
            self._add(character)

    def _add(self, character: str) -> None:
        self.words[-1] += character
        self._begun = True


def _quoted(text: str, quote: str) -> str:
    if quote == "'":
        return text
    special = set('"\\$`') if quote else _SPECIAL
    return "".join(f"\\{c}" if c in special else c for c in text)
