"""The certificates of a cluster, made by openssl: one authority, and what it signs."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

# A bed is for a day's work.
_DAYS = "30"


@frozen
class Identity:
    """A certificate with its key."""

    certificate: Path
    key: Path


@frozen
class Authority:
    """Signs certificates and keeps them in `folder`."""

    folder: Path
    identity: Identity

    def issue(self, name: str, subject: str, alternative_names: Sequence[str] = ()) -> Identity:
        """A certificate for a client, or for a server of these names (`DNS:…`, `IP:…`).

        `subject` is as openssl writes it: `/O=system:masters/CN=admin`.
        """
        identity = _identity(self.folder, name)
        extensions = ["extendedKeyUsage=clientAuth,serverAuth", "basicConstraints=CA:FALSE"]
        if alternative_names:
            extensions.append(f"subjectAltName={','.join(alternative_names)}")
        signer = ["-CA", str(self.identity.certificate), "-CAkey", str(self.identity.key)]
        _request(identity, subject, extensions, signer)
        return identity


def make_authority(folder: Path) -> Authority:
    """A new authority that keeps its certificates in `folder`."""
    identity = _identity(folder, "ca")
    extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
    _request(identity, "/CN=numa-trio-bed", extensions, [])
    return Authority(folder, identity)


def _identity(folder: Path, name: str) -> Identity:
    return Identity(folder / f"{name}.crt", folder / f"{name}.key")


def _request(
    identity: Identity, subject: str, extensions: Sequence[str], signer: Sequence[str]
) -> None:
    command = ["openssl", "req", "-x509", "-new", "-noenc", "-days", _DAYS, "-subj", subject]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(identity.key), "-out", str(identity.certificate), *signer]
    # An empty configuration, or the host's would add extensions of its own.
    command += ["-config", "/dev/null"]
    for extension in extensions:
        command += ["-addext", extension]
    subprocess.run(command, check=True, capture_output=True)
