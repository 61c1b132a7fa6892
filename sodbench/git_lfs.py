"""Pointers of Git LFS: what a clone holds in place of large files that were not fetched."""

# Every pointer starts with this line (git-lfs, docs/spec.md)
_FIRST_LINE = b"version https://git-lfs.github.com/spec/"

# What such a file is, and the fix
LFS_POINTER = (
    "a Git LFS pointer, not the file itself; run 'git lfs pull' in its repository, which fetches it"
)


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file is a pointer of Git LFS.

    Parameters
    ----------
    start : bytes
        The file's first bytes, 64 or more if it has as many.

    Returns
    -------
    bool
    """
    return start.startswith(_FIRST_LINE)
