"""`waterfall chat` talks to a real gateway; the shells complete what the parser knows."""

from __future__ import annotations

import io
import subprocess

import httpx
import pytest
from api.serving import config
from app.serving import Process

from gateway.cli import main


@pytest.fixture
async def gateway(tmp_path):
    async with Process(tmp_path, config()) as process:
        await process.ready()
        yield process.url


def talk(monkeypatch, capsys, url, lines, *options):
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    code = main(["chat", "--url", f"{url}/v1", *options])
    out = capsys.readouterr()
    return code, out.out, out.err


async def test_it_streams_answers_and_says_what_each_took(gateway, monkeypatch, capsys):
    lines = "Say hello.\n/tier large\nAnd again.\n/clear\n/what\n"
    code, said, told = talk(monkeypatch, capsys, gateway, lines)
    assert code == 0
    assert len(said.split()) > 10
    first, second, help_ = told.strip().splitlines()
    assert first.startswith("[waterfall: small; ")
    assert second.startswith("[waterfall: large; ")
    assert "$0." in first
    assert "at the baseline" in first
    assert "/clear forgets" in help_


async def test_one_question_and_its_refusals(gateway, monkeypatch, capsys):
    code, said, _ = talk(monkeypatch, capsys, gateway, "", "Say hello.")
    assert (code, bool(said.strip())) == (0, True)
    code, _, told = talk(monkeypatch, capsys, gateway, "", "--model", "nobody", "Say hello.")
    assert (code, "No model 'nobody' here" in told) == (1, True)
    code, _, told = talk(monkeypatch, capsys, "http://127.0.0.1:9", "", "Say hello.")
    assert (code, "start `waterfall serve`" in told) == (1, True)


def test_the_scripts_know_every_command_and_option(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        for word in ("doctor", "completion", "serve"):
            assert word in script
        assert ("from-litellm" in script, "need-free" in script) == (True, True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("waterfall doc", "doctor"),
        ("waterfall doctor --of", "--offline"),
        ("waterfall completion f", "fish"),
    ],
)
def test_bash_completes(tmp_path, capsys, typed, offered):
    assert main(["completion", "bash"]) == 0
    words = typed.split()
    script = (
        capsys.readouterr().out
        + f"\nCOMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n"
        + '_waterfall\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [offered]


async def test_a_key_comes_out_of_a_file(gateway, monkeypatch, capsys, tmp_path):
    """Never out of an argument: those are for everybody on the machine to see."""
    sent = []
    monkeypatch.setattr(httpx.Client, "__init__", noting(sent, httpx.Client.__init__))
    file = tmp_path / "key"
    file.write_text("wf-secret\n")
    code, *_ = talk(monkeypatch, capsys, gateway, "", "--key-file", str(file), "Say hello.")
    assert (code, sent) == (0, ["Bearer wf-secret"])
    code, _, told = talk(monkeypatch, capsys, gateway, "", "--key-file", str(tmp_path / "no"), "x")
    assert (code, "--key-file" in told) == (2, True)


def noting(sent, begin):
    def noted(self, **options):
        sent.append(options["headers"].get("authorization"))
        begin(self, **options)

    return noted
