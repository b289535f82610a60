"""The commands of ``dsdt``, by what people come for: where each is, and the line the help shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # click, which a shell that completes a word does not wait for
    import click


class Entry(NamedTuple):
    """A command that is not loaded yet: where it is, and the line the help shows."""

    target: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Start": {
        "init": Entry("disdat.cli.contexts:init", "Write a commented settings file."),
        "context": Entry("disdat.cli.contexts:context", "List data contexts, create one, or delete one."),
        "fork": Entry("disdat.cli.moves:fork", "Make a context that begins as another one is."),
        "switch": Entry("disdat.cli.contexts:switch", "Make a data context the current one."),
        "status": Entry("disdat.cli.contexts:status", "Show the current context and what is in it."),
        "completion": Entry("disdat.cli.completion:completion", "Print a script that lets your shell complete words."),
        "config": Entry("disdat.cli.contexts:config", "Show every setting and where it comes from."),
    },
    "Make and change bundles": {
        "add": Entry("disdat.cli.bundles:add", "Make a bundle of files, directories or a table."),
        "apply": Entry("disdat.cli.pipelines:apply", "Run a pipeline up to a task."),
        "commit": Entry("disdat.cli.bundles:commit", "Mark a bundle as ready to be shared."),
        "tag": Entry("disdat.cli.bundles:tag", "Set tags of a bundle."),
        "untag": Entry("disdat.cli.bundles:untag", "Remove tags of a bundle."),
        "rename": Entry("disdat.cli.moves:rename", "Give a bundle another name."),
        "copy": Entry("disdat.cli.moves:copy", "Copy bundles to another context."),
        "move": Entry("disdat.cli.moves:move", "Move bundles to another context."),
        "rm": Entry("disdat.cli.bundles:rm", "Remove bundles from the context."),
        "undo": Entry("disdat.cli.history:undo", "Take back the last change, or a named one."),
    },
    "Look at bundles": {
        "ls": Entry("disdat.cli.look:ls", "List bundles."),
        "cat": Entry("disdat.cli.look:cat", "Print the value of a bundle."),
        "checkout": Entry("disdat.cli.checkout:checkout", "Put a bundle's files into a directory of your own."),
        "show": Entry("disdat.cli.look:show", "Show everything that is recorded of a bundle."),
        "lineage": Entry("disdat.cli.look:lineage", "Show what a bundle was made from."),
        "diff": Entry("disdat.cli.diff:diff", "Show how two bundles differ."),
        "log": Entry("disdat.cli.history:log", "Show what happened in the context."),
    },
    "Look after bundles": {
        "verify": Entry("disdat.cli.maintenance:verify", "Read everything, and find what is damaged."),
        "du": Entry("disdat.cli.space:du", "Show what takes space, and what removing it would free."),
        "gc": Entry("disdat.cli.space:gc", "Find what nobody needs, and get its space back."),
        "doctor": Entry("disdat.cli.doctor:doctor", "Check the installation, the settings and the home."),
        "reindex": Entry("disdat.cli.maintenance:reindex", "Make the catalog of a context again from its log."),
    },
}

COMMANDS: Mapping[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

OTHER_WORDS: Mapping[str, str] = {
    "branch": "fork",
    "check": "verify",
    "clean": "gc",
    "clone": "fork",
    "compare": "diff",
    "cp": "copy",
    "delete": "rm",
    "export": "checkout",
    "fsck": "verify",
    "get": "cat",
    "history": "log",
    "info": "show",
    "list": "ls",
    "mv": "move",
    "prune": "gc",
    "remove": "rm",
    "restore": "undo",
    "revert": "undo",
    "run": "apply",
}
"""What people coming from elsewhere type, and what it is called here."""
