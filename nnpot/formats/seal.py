"""Zip archives with a checksum, and what must hold before anything is taken out of one.

The comment of a sealed archive is `sha256 ` and the checksum, in 64 hexadecimal digits, of all bytes before these
digits.
"""

import hashlib
import io
import zipfile
from pathlib import PurePosixPath

SEAL = b"sha256 "
"""Beginning of the comment of an archive, before the checksum."""
DIGITS = 64


def sealed(archive: bytes) -> bytes:
    """Return a zip archive without a comment as one whose comment is its checksum."""
    length = (len(SEAL) + DIGITS).to_bytes(2, "little")  # the last of what stands before a comment
    content = archive[:-2] + length + SEAL
    return content + hashlib.sha256(content).hexdigest().encode()


def is_intact(content: bytes) -> bool:
    """Return whether an archive has its checksum still."""
    return hashlib.sha256(content[:-DIGITS]).hexdigest().encode() == content[-DIGITS:]


def check_members(content: bytes) -> None:
    """Check that an archive unpacks into its own folder, and into no more than its size.

    Raises:
        ValueError: If it does not.
        BadZipFile: If it is no archive.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or set("\\:") & set(name):
            raise ValueError(f"its member {name[:60]!r} would be written outside of it")
    if len(set(names)) < len(names):
        raise ValueError("two of its members have the same name")
    if sum(member.file_size for member in members) > len(content):
        raise ValueError("its members are larger than the file itself")
