"""Archives: a checksum, and members that stay inside."""

import io
import zipfile

import pytest

from nnpot.formats.seal import check_members, is_intact, sealed


def archive(*names: str, content: bytes = b"some text", compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name in names:
            file.writestr(name, content)
    return buffer.getvalue()


def test_every_byte_counts() -> None:
    whole = sealed(archive("1/a", "1/b"))
    assert is_intact(whole)
    assert [k for k in range(len(whole)) if is_intact(whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :])] == []


def test_an_archive_without_a_seal_is_not_intact() -> None:
    assert not is_intact(archive("a"))
    assert not is_intact(b"")


def test_usual_members_are_taken() -> None:
    check_members(sealed(archive("1/data/model.so", "1/.data/version", "..a/b..")))


@pytest.mark.parametrize("name", ["../a", "1/../../a", "/tmp/a", "1/..", "C:/a", "1\\..\\a", "..\\a"])
def test_no_member_is_written_outside(name: str) -> None:
    with pytest.raises(ValueError, match="would be written outside"):
        check_members(archive("1/a", name))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_two_members_have_one_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        check_members(archive("1/a", "1/a"))


def test_an_archive_cannot_unpack_into_more_than_its_size() -> None:
    with pytest.raises(ValueError, match="larger than the file"):
        check_members(archive("1/a", content=bytes(1_000_000), compression=zipfile.ZIP_DEFLATED))
