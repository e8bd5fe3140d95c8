"""`waterfall completion bash|zsh|fish`: a script that completes commands and their options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from gateway.cli import common

_BASH = """\
_waterfall() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} words
  case ${{COMP_WORDS[1]}} in
{cases}
    *) words="{commands}" ;;
  esac
  [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ ${{#COMPREPLY[@]}} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}}
complete -o filenames -F _waterfall waterfall
"""
_ZSH = """\
#compdef waterfall
_waterfall() {{
  local -a found
  if (( CURRENT == 2 )); then
    found=({commands})
  else
    case $words[2] in
{cases}
    esac
  fi
  compadd -- $found
  _files
}}
compdef _waterfall waterfall
"""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command."""
    parser = commands.add_parser(
        "completion", help="print a script that completes commands in your shell"
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    parser.set_defaults(run=lambda args: run(args, commands.choices))


def run(args: argparse.Namespace, parsers: Mapping[str, argparse.ArgumentParser]) -> int:
    """Print the script: bash and zsh `eval` it, fish sources it."""
    options = {name: words_of(parser) for name, parser in parsers.items()}
    common.show({"bash": bash, "zsh": zsh, "fish": fish}[args.shell](options).rstrip())
    return 0


def words_of(parser: argparse.ArgumentParser) -> list[str]:
    """List what may come after a command: its own commands, and its options."""
    words: list[str] = []
    for action in parser._actions:  # noqa: SLF001 (argparse has no other way to ask)
        words += [option for option in action.option_strings if option.startswith("--")]
        if action.choices is not None:
            words += [str(choice) for choice in action.choices]
    return words


def bash(options: Mapping[str, list[str]]) -> str:
    """Write the script for bash."""
    cases = "\n".join(f'    {name}) words="{" ".join(w)}" ;;' for name, w in options.items())
    return _BASH.format(cases=cases, commands=" ".join(options))


def zsh(options: Mapping[str, list[str]]) -> str:
    """Write the script for zsh."""
    cases = "\n".join(f"      {name}) found=({' '.join(w)}) ;;" for name, w in options.items())
    return _ZSH.format(cases=cases, commands=" ".join(options))


def fish(options: Mapping[str, list[str]]) -> str:
    """Write the script for fish."""
    lines = [f"complete -c waterfall -n __fish_use_subcommand -f -a {name}" for name in options]
    for name, words in options.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for word in words:
            long = f"-l {word[2:]}" if word.startswith("--") else f"-f -a {word}"
            lines.append(f"complete -c waterfall {seen} {long}")
    return "\n".join(lines) + "\n"
