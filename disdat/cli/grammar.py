"""
What may stand after each command, known without loading it: loading it takes longer than all else a shell waits for.

The tests compare this with the commands themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

FILE = "file"
"""What is for the shell to complete, or for nobody."""

_EVERYWHERE = "--context=context --profile=nothing --verbose --quiet --version -h --help"
_COMMANDS: Mapping[str, str] = {
    "init": "",
    "context": "context -d --delete -y --yes -f --force -r --remote --json",
    "fork": "context --json",
    "switch": "context",
    "status": "--json",
    "completion": "shell",
    "config": "--json",
    "add": "name -t=tag --tag=tag -i --inline --json",
    "apply": "file -o=name --output-bundle=name -f --force --force-all -w= --workers= -cs --central-scheduler"
    " -it=tag --input-tag=tag -ot=tag --output-tag=tag --rerun= --incremental-push"
    " --incremental-pull --executor= --scheduler= --recompute --timeout= --params-json= --plan --json",
    "plan": "file -o=name --output-bundle=name -f --force --force-all --rerun= --recompute --params-json= --all --json",
    "why": "ref --params-json= --json",
    "commit": "name -t=tag --tag=tag -u=uuid --uuid=uuid",
    "tag": "ref tag …",
    "untag": "ref key …",
    "rename": "ref name --all --dry-run --json",
    "copy": "ref … --to=context --all --create --dry-run --json",
    "move": "ref … --to=context --all --create --dry-run --json",
    "rm": "name -t=tag --tag=tag -u=uuid --uuid=uuid --all --old --uncommitted -f --force --dry-run",
    "undo": "nothing -f --force --dry-run --json",
    "ls": "name -v --long --verbose -p --print-tags -a --print-args -i --intermediates -r --roots -c --committed"
    " --uncommitted --remote -l --latest-by-date -A= --after= -B= --before= -t=tag --tag=tag -u=uuid --uuid=uuid"
    " --as-of= --json",
    "cat": "ref -t=tag --tag=tag -u=uuid --uuid=uuid -f= --file= --as-of=",
    "checkout": "ref --link -f --force --dry-run --json",
    "show": "ref --as-of= --json",
    "lineage": "ref -d= --depth= --down --format= -o= --output= --as-of= --json",
    "diff": "ref ref -k= --key= --rtol= --atol= --limit= --stat --exit-code --json",
    "remote": "remote url --unbind --layout= --json",
    "push": "name -t=tag --tag=tag -u=uuid --uuid=uuid --all --inputs -d --delocalize --dry-run --jobs= --progress="
    " --json",
    "pull": "name -t=tag --tag=tag -u=uuid --uuid=uuid --all -l --localize --dry-run --jobs= --progress= --json",
    "fetch": "--progress= --json",
    "clone": "url context --layout= --progress= --json",
    "localize": "ref --all --jobs= --progress= --json",
    "delocalize": "ref --all --dry-run --jobs= --json",
    "rmr": "ref … -t=tag --tag=tag --dry-run -y --yes --json",
    "share": "ref --expires= --json",
    "log": "name -n= --number= -k= --kind= --by= --since= --until= -u=uuid --uuid=uuid --as-of= --json",
    "verify": "ref --sample= --remote --repair --json",
    "du": "name … --versions --json",
    "gc": "--apply --purge --why= --retention= --grace= -v --list --remote --forget= --json",
    "doctor": "--json",
    "reindex": "--json",
}
"""What a command's arguments are, of which ``…`` repeats the last; and its options, ``=`` where one takes a value."""


class Grammar(NamedTuple):
    """What may stand after a command."""

    arguments: tuple[str, ...]
    repeats: bool
    """Whether the last of them may be given again and again."""
    options: Mapping[str, str | None]
    """Every spelling of an option: of what kind its value is; None where it takes none."""

    def argument(self, number: int) -> str:
        """The kind of an argument, counted from 0."""
        if self.repeats:
            number = min(number, len(self.arguments) - 1)
        return self.arguments[number] if number < len(self.arguments) else FILE


@cache
def of(command: str | None) -> Grammar:
    """What may stand after *command*; where it is None, or none of ours, what stands before one."""
    words = f"{_COMMANDS.get(command or '', '')} {_EVERYWHERE}".split()
    arguments = [word for word in words if not word.startswith("-")]
    options: dict[str, str | None] = {}
    for word in words:
        if word.startswith("-"):
            name, takes_value, kind = word.partition("=")
            options.setdefault(name, (kind or FILE) if takes_value else None)
    return Grammar(tuple(kind for kind in arguments if kind != "…"), "…" in arguments, options)
