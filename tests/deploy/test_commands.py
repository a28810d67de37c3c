"""Every command of the documents: it parses, and names what there is."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.manifests import KUSTOMIZE, OVERLAYS, REPOSITORY, documents
from numa_trio.cli import build_parser

DOCUMENTS = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    KUSTOMIZE / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / ".github").rglob("*.md")),
    *sorted((REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yaml")),
]
# Folders of which a document names files.
OURS = ("deploy/", "docs/", "examples/", "requirements/", "scripts/")
# What stands before a command, of which it is the argument.
WRAPPERS = {"do", "then", "sudo", "microk8s"}
OPERATORS = {"|", "||", "&&", ";", "&", "<", ">", "<<", ">>"}
# Files that the reader writes.
THEIRS = {"kubeletconfig.yaml"}

Command = list[str]


def blocks(document: Path) -> list[str]:
    """What a reader types, in blocks and in the text, with a word for each placeholder."""
    text = document.read_text()
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`((?:just|kubectl|microk8s|numa-trio|oc) [^`]+)`", prose)
    # One that ends in an option is spoken of, not meant to be typed.
    found += [" ".join(e.split()) + "\n" for e in inline if not re.search(r"\s-[-\w]+$", e)]
    return [re.sub(r"<(agent's pod|pod|node|pid)>|…", "placeholder", block) for block in found]


def commands(block: str) -> Iterator[Command]:
    """The simple commands of a block, without assignments, comments, documents and redirections."""
    text = re.sub(r"(<<'END'.*?\n).*?^END$", r"\1", block, flags=re.MULTILINE | re.DOTALL)
    for line in text.replace("\\\n", " ").replace("|\n", "| ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.commenters = "#"
        lexer.whitespace_split = True
        command: Command = []
        target = False
        for word in [*lexer, ";"]:
            if word not in OPERATORS:
                if target:
                    target = False
                elif command or not (word in WRAPPERS or re.match(r"\w+=", word)):
                    command.append(word)
            elif word[0] in "<>":
                target = True
            elif command:
                yield command
                command = []


def all_commands() -> list[tuple[str, Command]]:
    return [
        (str(document.relative_to(REPOSITORY)), command)
        for document in DOCUMENTS
        for block in blocks(document)
        for command in commands(block)
    ]


def of(name: str) -> list[Command]:
    """The commands of that program, each once."""
    found = [c for _, c in all_commands() if Path(c[0]).name == name]
    return [list(each) for each in dict.fromkeys(map(tuple, found))]


def shown(command: Command) -> str:
    return shlex.join(command)[:70]


def test_commands_are_found() -> None:
    """A pipe, a continued line and a document in the text are taken apart as the shell does it."""
    block = (
        "A=1 kubectl get x | # why\n  tr , ' ' >y && rm \\\n  z # no\nj apply <<'END'\na: b\nEND\n"
    )
    assert list(commands(block)) == [
        ["kubectl", "get", "x"],
        ["tr", ",", " "],
        ["rm", "z"],
        ["j", "apply"],
    ]
    assert len(all_commands()) > 80
    assert {"just", "kubectl", "oc", "numa-trio"} <= {Path(c[0]).name for _, c in all_commands()}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_shell_understands_it(document: Path) -> None:
    """The blocks have no mistake of syntax."""
    for block in blocks(document):
        checked = subprocess.run(
            ["bash", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, ""), block


def test_files_exist() -> None:
    """A file of ours that a command names is there."""
    named = {
        (document, word.split("=")[-1].partition("#")[0])
        for document, command in all_commands()
        for word in command
        if word.startswith(OURS)
    }
    assert len(named) > 5
    assert not [pair for pair in named if not (REPOSITORY / pair[1]).exists()]


def just(*arguments: str) -> str:
    """What `just` prints with these arguments; fails where it finds something wrong with them."""
    program = Path(sys.executable).with_name("just")
    done = subprocess.run(
        [program, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", of("just"), ids=shown)
def test_just_knows_the_recipes(command: Command) -> None:
    """The recipes, their arguments and the variables are in the justfile."""
    just("--dry-run", *command[1:])
    for overlay in re.findall(r"overlay=(\S+)", shlex.join(command)):
        assert overlay in OVERLAYS
    # Behind a recipe that takes options it would be one of them, as in `just build push`.
    _, *more = [word for word in command[1:] if "=" not in word] or [""]
    assert not set(more) & set(just("--summary").split())


@pytest.mark.parametrize("command", of("numa-trio"), ids=shown)
def test_numa_trio_understands_its_arguments(command: Command) -> None:
    """The command line of the agent and the simulator."""
    assert build_parser().parse_args(command[1:]).module


@pytest.mark.kubectl
@pytest.mark.parametrize(
    "command", [*of("kubectl"), *(c for c in of("oc") if c[1] != "adm")], ids=shown
)
def test_kubectl_understands_its_arguments(command: Command) -> None:
    """Subcommands and flags are kubectl's: it gets as far as the server, which is not there."""
    kubectl = shutil.which("kubectl")
    assert kubectl is not None
    arguments = [re.sub(r"\$\w+", "x", "-" if w in THEIRS else w) for w in command[1:]]
    if arguments[0] == "kustomize" or "-k" in arguments:
        return  # rendered by test_kustomize.py
    split = arguments.index("--") if "--" in arguments else len(arguments)
    # Nothing listens there.
    arguments[split:split] = ["--server=http://127.0.0.1:9", "--request-timeout=2s"]
    done = subprocess.run(
        [kubectl, *arguments],
        input="apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n",
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "connection refused" in done.stderr or "was refused" in done.stderr, done.stderr


def test_loading_names_the_image_as_the_manifests_do() -> None:
    """Without a registry the overlays apply as they are: the image has their name for it."""
    (base,) = documents(KUSTOMIZE / "base/kustomization.yaml")
    (image,) = base["images"]
    page = (REPOSITORY / "docs/distributions/README.md").read_text()
    assert f"`{image['name']}:{image['newTag']}`" in page
