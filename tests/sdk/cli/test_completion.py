"""Shells complete commands, options and values: the scripts come out, and what they ask is answered."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from narrows.cli.app import app as narrows
from narrows_server.cli import app as narrows_server
from typer import Typer
from typer.testing import CliRunner

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = {"narrows": narrows, "narrows-server": narrows_server}


def asked(program: str, **environment: str) -> str:
    """What *program* prints where a shell asks it by *environment* instead of running it."""
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    told = {variable if name == "instruction" else name: value for name, value in environment.items()}
    app: Typer = PROGRAMS[program]
    done = CliRunner(env=told).invoke(app, [], prog_name=program)
    assert done.exit_code == 0, done.output
    return done.stdout


def completions(shell: str, line: str, program: str = "narrows") -> str:
    """What *shell* is offered for the last word of *line*."""
    if shell == "bash":
        index = str(len(line.split(" ")) - 1)
        return asked(program, instruction="complete_bash", COMP_WORDS=line, COMP_CWORD=index)
    return asked(
        program,
        instruction=f"complete_{shell}",
        _TYPER_COMPLETE_ARGS=line,
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("shell", "hook"), [("bash", "complete -o default -F"), ("zsh", "compdef"), ("fish", "complete --command")]
)
def test_a_script_comes_out_for_each_shell(shell: str, hook: str, program: str) -> None:
    script = asked(program, instruction=f"source_{shell}")

    assert hook in script
    assert program in script


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_an_option_and_a_value_are_completed(shell: str) -> None:
    assert "encode" in completions(shell, "narrows enc")
    assert "probe" not in completions(shell, "narrows enc")
    assert "development" in completions(shell, "narrows license dev")
    assert "--preset" in completions(shell, "narrows encode --pre")
    assert "slow" in completions(shell, "narrows encode --preset sl")
    assert "medium" not in completions(shell, "narrows encode --preset sl")
    assert "doctor" in completions(shell, "narrows-server doc", program="narrows-server")


def test_bash_itself_offers_what_the_script_asks_for(tmp_path: Path) -> None:
    program = tmp_path / "narrows"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.argv[0] = 'narrows'\nfrom narrows.cli.app import main\nmain()\n"
    )
    program.chmod(0o755)
    (tmp_path / "narrows.bash").write_text(asked("narrows", instruction="source_bash"))
    typed = (
        "source narrows.bash\n"
        "COMP_WORDS=(narrows encode --tune vi) COMP_CWORD=3\n"
        "_narrows_completion narrows\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", typed], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["visual"]
