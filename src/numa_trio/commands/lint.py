"""`numa-trio lint`: finds in manifests what will keep pods from their NUMA node, and mends it.

docs/lint.md describes each code, and the forms of the output.
"""

import argparse
import os
import sys
from typing import TYPE_CHECKING

from numa_trio.commands.terminal import complain

if TYPE_CHECKING:
    from numa_trio.commands.lint_result import Result
    from numa_trio.workloads.lint.check import Options

HELP = "Find in manifests what will keep pods from the NUMA node that they ask for."

_SEVERITIES = ("error", "warning", "note")
_EXAMPLES = """\
examples:
  numa-trio lint deployment.yaml
  numa-trio lint --fix manifests/
  kustomize build overlays/prod | numa-trio lint -
  helm template chart/ | numa-trio lint --ignore NA104,NA105 -
  numa-trio lint --output sarif manifests/ > lint.sarif

exit status:
  0  nothing is found that --fail-on names
  1  something is found
  2  a file cannot be read, or the usage is bad

docs/lint.md has a section for each code.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="manifests in YAML or JSON; a folder with such files, or - for standard input",
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="write what has but one correction into the files, keeping comments and order;"
        " standard input goes to standard output",
    )
    parser.add_argument(
        "--output",
        choices=["text", "json", "github", "sarif"],
        default="text",
        help="text for people, JSON or SARIF for programs, or annotations of GitHub Actions"
        " (default: text)",
    )
    parser.add_argument(
        "--fail-on",
        choices=_SEVERITIES,
        default="warning",
        help="the least severity that makes the exit status 1 (default: warning)",
    )
    parser.add_argument(
        "--ignore",
        type=_codes,
        action="extend",
        default=[],
        metavar="CODE[,CODE…]",
        help="leave out findings with these codes; may be repeated",
    )
    parser.add_argument(
        "--verbose", "-v", action="store_true", help="say which objects were passed over"
    )


def _codes(text: str) -> list[str]:
    from numa_trio.workloads.lint.codes import CODES

    codes = [code for code in text.upper().split(",") if code]
    if unknown := [code for code in codes if code not in CODES]:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)}: no such code; expected some of {', '.join(CODES)}"
        )
    return codes


def main(arguments: argparse.Namespace) -> int:
    """Lint, print, and mend if that was asked for; returns the exit status."""
    from numa_trio.commands.lint_files import STANDARD_INPUT
    from numa_trio.commands.lint_result import lint_files

    to_output = arguments.fix and STANDARD_INPUT in arguments.files
    if to_output and (len(arguments.files) > 1 or arguments.output != "text"):
        complain(
            "numa-trio lint: --fix writes standard input to standard output: expected no other"
            " file with it, and no --output"
        )
        return 2
    try:
        options = _options(arguments)
    except ValueError as refusal:
        complain(f"numa-trio lint: {refusal}")
        return 2
    result = lint_files(arguments.files, options, fix=arguments.fix)
    for problem in result.problems:
        complain(f"numa-trio lint: {problem}")
    if to_output:
        sys.stdout.write(result.rewritten_input)
    _print(result, arguments, to_output=to_output)
    if result.problems:
        return 2
    return 1 if result.worst_rank >= _SEVERITIES[::-1].index(arguments.fail_on) else 0


def _options(arguments: argparse.Namespace) -> "Options":
    """With the agent's own settings, where they are not the default."""
    from numa_trio.workloads.lint.check import Options

    options = Options(ignored=frozenset(arguments.ignore))
    domain = os.environ.get("NUMA_RESOURCE_DOMAIN", options.domain)
    unit = os.environ.get("NUMA_MEMORY_UNIT")
    if domain == options.domain and unit is None:
        return options
    from numa_trio.settings import BadConfiguration, load_settings

    try:
        settings = load_settings(
            {"NUMA_RESOURCE_DOMAIN": domain} | ({} if unit is None else {"NUMA_MEMORY_UNIT": unit})
        )
    except BadConfiguration as problem:
        raise ValueError(str(problem)) from None
    return Options(settings.resource_domain, settings.memory_unit, options.ignored)


def _print(result: "Result", arguments: argparse.Namespace, *, to_output: bool) -> None:
    match arguments.output:
        case "json":
            from numa_trio.commands.lint_json import print_json

            print_json(result)
        case "sarif":
            from numa_trio.commands.lint_sarif import print_sarif

            print_sarif(result)
        case "github":
            from numa_trio.commands.lint_github import print_github

            print_github(result)
        case _:
            from numa_trio.commands.lint_text import print_text

            stream = sys.stderr if to_output else sys.stdout
            print_text(result, stream, verbose=arguments.verbose)
