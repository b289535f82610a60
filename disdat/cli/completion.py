"""For who types: a script that lets a shell complete commands, options, names, tags and contexts."""

from __future__ import annotations

from collections.abc import Sequence

import click

from disdat.cli import complete, render
from disdat.cli.choices import Verb

_BASH = r"""# Completion of dsdt for bash: eval "$(dsdt completion bash)"
_dsdt_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(command "$1" completion bash --complete "$2" -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null </dev/null)
}
complete -o bashdefault -o default -F _dsdt_completion dsdt
"""
_ZSH = r"""#compdef dsdt
# Completion of dsdt for zsh: eval "$(dsdt completion zsh)", after compinit
_dsdt_completion() {
    local -a found
    found=("${(@f)$(command dsdt completion zsh --complete "${(Q)PREFIX}" -- "${(@Q)words[2,CURRENT-1]}" \
        2>/dev/null </dev/null)}")
    found=("${(@)found:#}")
    if (( $#found )); then
        compadd -- "${(@)found}"
    else
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _dsdt_completion "$@"
else
    compdef _dsdt_completion dsdt
fi
"""
_FISH = r"""# Completion of dsdt for fish: dsdt completion fish | source
function __dsdt_completion
    set -l before (commandline -opc)
    set -l typed (commandline -ct)
    set -l word (string unescape -- $typed)
    test -n "$word"; or set word (string trim --left --chars "'\"" -- $typed)
    set -l found (command dsdt completion fish --complete "$word" -- $before[2..-1] 2>/dev/null </dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$word"
    end
end
complete -c dsdt -f -a '(__dsdt_completion)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(cls=Verb)
@click.option("--complete", "prefix", hidden=True, help="Print what may stand for this word, a line each.")
@click.argument("shell", type=click.Choice(complete.SHELLS), metavar="bash|zsh|fish")
@click.argument("words", nargs=-1, metavar="")
def completion(shell: str, words: Sequence[str], *, prefix: str | None) -> None:
    """
    Print the script for tab completion in bash, zsh or fish.

    Commands, options, names of bundles, tags and contexts, from the catalog. For bash, write into ~/.bashrc:
    eval "$(dsdt completion bash)". For zsh the same into ~/.zshrc, after compinit. For fish, into
    ~/.config/fish/config.fish: dsdt completion fish | source.
    """
    if prefix is None:
        render.out(_SCRIPTS[shell].splitlines())
    else:
        render.out(complete.answer(shell, prefix, words))
