"""Two hosts: ranks in two network namespaces, joined by a virtual cable, started as on a cluster and talking
over TCP.

Each namespace is a host with a name, an address and an interface of its own. The launcher believes that it
starts ranks through ssh, or through Slurm's srun; in their place stand scripts that enter the namespaces. All
that passes between the hosts passes through the cable, whose counters the kernel keeps.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from minipar.launcher.launch import find_launcher, launcher_folders

ADDRESSES = "10.213.77.1", "10.213.77.2"  # within the namespaces, so they clash with nothing

SCRIPTS = {
    # on NAMESPACE COMMAND...: runs it there, on a host of that name
    "on": """host=$1; shift
exec ip netns exec $host unshare --uts sh -c "hostname $host; exec \\"\\$@\\"" sh "$@"
""",
    # ssh [-x] ADDRESS COMMAND...
    "ssh": f"""[ "$1" = -x ] && shift
[ "$1" = {ADDRESSES[0]} ] && host=$first || host=$second
shift
exec on $host sh -c "$*"
""",
    # srun --nodelist A,B -N 2 -n 2 --input none COMMAND...: once on each node, which is told its number
    "srun": """shift 8
SLURM_NODEID=1 on $second "$@" &
SLURM_NODEID=0 on $first "$@" && wait $!
"""}
LAUNCHER = find_launcher(launcher_folders(os.environ))
KIND = LAUNCHER.kind if LAUNCHER else "MPICH"
# What makes the launcher use them. In a Slurm job, Hydra takes srun of its own accord.
STARTERS = {
    "MPICH": {"ssh": {"HYDRA_LAUNCHER": "ssh", "HYDRA_IFACE": "cable"},
              "slurm": {"SLURM_JOB_ID": "1", "HYDRA_IFACE": "cable"}},
    "Open MPI": {"ssh": {"OMPI_MCA_btl_tcp_if_include": "cable"}}}[KIND]
# TCP, or the library sees that both hosts share one memory.
TCP = {"UCX_TLS": "tcp,self", "FI_PROVIDER": "tcp", "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "tcp,self"}
SLOTS = {"MPICH": "{}:2\n", "Open MPI": "{} slots=2\n"}[KIND]        # a line of the host file


@dataclass
class Hosts:
    """Two namespaces. folder: the scripts. hostfile: names both hosts, two ranks each."""

    names: tuple[str, str]
    folder: Path
    hostfile: Path


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def until_connected(names: tuple[str, str]) -> None:
    """A cable carries some time after both its ends are up, and MPI finds no way to a host before."""
    end = time.monotonic() + 20
    while not all("state UP" in ip("-n", name, "link", "show", "cable") for name in names):
        assert time.monotonic() < end, "the cable does not come up"
        time.sleep(0.01)


def impossible(reason: str) -> NoReturn:
    """Skips, unless MINIPAR_MUST_RUN says that this machine is known to be able to."""
    (pytest.fail if "MINIPAR_MUST_RUN" in os.environ else pytest.skip)(reason)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if os.geteuid() != 0:
        impossible("network namespaces need root")
    names = f"minipar-a-{os.getpid()}", f"minipar-b-{os.getpid()}"
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", "cable", "netns", names[0], "type", "veth", "peer", "name", "cable", "netns",
           names[1])
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            for interface in ("lo", "cable"):
                ip("-n", name, "link", "set", interface, "up")
        until_connected(names)
    except FileNotFoundError:
        impossible("no iproute2: apt-get install iproute2")
    except subprocess.CalledProcessError as error:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        impossible(f"this system makes no network namespaces: {error.stderr.strip()}")
    folder = tmp_path_factory.mktemp("hosts")
    for script, lines in SCRIPTS.items():
        (folder / script).write_text(f"#!/bin/sh\nfirst={names[0]} second={names[1]}\n{lines}")
        (folder / script).chmod(0o755)
    hostfile = folder / "hosts"
    hostfile.write_text("".join(SLOTS.format(address) for address in ADDRESSES))
    yield Hosts(names, folder, hostfile)
    for name in names:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture(scope="module", params=STARTERS)
def report(request: pytest.FixtureRequest, hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the program found on 2 + 2 ranks, started by `minipar launch` on the first host."""
    found = tmp_path_factory.mktemp("found") / "report.json"
    environ = {**os.environ, **TCP, **STARTERS[request.param], "PATH": f"{hosts.folder}:{os.environ['PATH']}"}
    line = [str(hosts.folder / "on"), hosts.names[0], sys.executable, "-m", "minipar", "launch", "-n", "4",
            "--hostfile", str(hosts.hostfile), str(Path(__file__).with_name("across_hosts.py")), str(found)]
    job = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=60)
    assert job.returncode == 0, job.stdout + job.stderr
    return json.loads(found.read_text())


def test_two_nodes_are_seen(report: dict) -> None:
    assert report["nodes"] == [0, 0, 1, 1]


@pytest.mark.parametrize("algorithm, forth, back", [
    ("hierarchical", 1, 1),  # w = 2 lanes of 2 (m - 1)/m n/w each, with m = 2 nodes
    ("ring", 1.5, 1.5),  # 2 (p - 1)/p n over the two links that cross
    ("naive", 2, 2)])  # two ranks of the other node send n and receive n
def test_the_traffic_between_nodes_is_what_the_formula_says(report: dict, algorithm: str, forth: float,
                                                            back: float) -> None:
    nbytes = report["nbytes"]
    assert report[algorithm]["counted"] == [forth * nbytes, back * nbytes]
    # On the cable there are headers and acknowledgements as well, a few in a hundred.
    assert forth * nbytes <= report[algorithm]["cable"] <= 1.2 * forth * nbytes
