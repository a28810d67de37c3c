"""Which names for near things the simulated agent is given, and what it should offer for them."""

import argparse

from attrs import evolve

from numa_trio.locality.host import Host
from numa_trio.locality.survey import Survey
from numa_trio.near.source import FILE_VARIABLE, VARIABLE, NearSource
from numa_trio.near.verdicts import look
from numa_trio.settings import BadConfiguration, load_settings
from numa_trio.simulator.near_offer import look_at, near_offer, usual_names
from numa_trio.simulator.trial import Setup
from numa_trio.simulator.wired import NEAR

WIRED = "wired"


def with_near(arguments: argparse.Namespace, setup: Setup) -> Setup:
    """The setup with these names and what they stand for; raises `BadConfiguration`.

    The scenario wired brings a name of its own, and servers for it.
    """
    if arguments.scenario == WIRED:
        return _for_wired(arguments, setup)
    settings = load_settings(setup.variables)
    text = "\n".join(filter(None, [settings.near, *arguments.near]))
    if not (text or settings.near_file or arguments.scenario):
        text = usual_names(setup.machine)
    names = NearSource(text, settings.near_file).names()
    if setup.sysfs_root is not None:
        survey = Survey(Host(setup.sysfs_root, settings.host_root), setup.machine.machine)
        found = look(survey, names, settings.near_unknown)
    else:
        found = look_at(setup.machine, names, settings.near_unknown)
    near = near_offer(found, settings)
    return evolve(
        setup,
        offer=evolve(setup.offer, near=near.slots),
        variables={**setup.variables, VARIABLE: text},
        remarks=near.remarks,
    )


def _for_wired(arguments: argparse.Namespace, setup: Setup) -> Setup:
    if arguments.near:
        raise BadConfiguration(
            f"--scenario wired brings its own disk and name, {NEAR}: leave out --near"
        )
    return evolve(setup, variables={**setup.variables, VARIABLE: NEAR, FILE_VARIABLE: ""})
