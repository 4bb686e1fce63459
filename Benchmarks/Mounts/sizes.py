"""How much of everything: the full run, and the short one that takes minutes."""

import dataclasses

MEBIBYTE = 1 << 20


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Counts and bytes; names say of what."""

    # A list of packages for each layer, the lowest first.
    packages: tuple
    names: int = 40_000
    large: int = 1024 * MEBIBYTE
    medium: int = 256 * MEBIBYTE
    random: int = 50_000
    rewrites: int = 50_000
    created: int = 5_000
    unlinked: int = 5_000
    absent: int = 20_000
    asked: int = 50_000
    small: int = 5_000
    moved: int = 20
    renames: int = 2_000
    sources: int = 40
    many: int = 100_000
    depths: tuple = (1, 8, 32, 128)
    rounds: int = 5


FULL = Sizes(
    packages=(
        ("tzdata", "libc6-dev", "linux-libc-dev"),
        ("perl-modules-5.36", "libruby3.1"),
        ("libpython3.11-stdlib", "libpython3.11-testsuite"),
        ("vim-runtime",),
        ("git", "git-man", "emacs-common"),
        ("libstdc++-12-dev", "libgcc-12-dev"),
        ("cmake-data",),
        ("python3-django", "python3-numpy"),
    )
)

SHORT = Sizes(
    packages=(
        ("tzdata",),
        ("perl-modules-5.36",),
        ("libpython3.11-stdlib",),
        ("vim-runtime",),
        ("git",),
        ("libstdc++-12-dev",),
        ("linux-libc-dev",),
        ("libc6-dev",),
    ),
    names=10_000,
    large=256 * MEBIBYTE,
    medium=64 * MEBIBYTE,
    random=10_000,
    rewrites=10_000,
    created=1_000,
    unlinked=1_000,
    absent=5_000,
    small=2_000,
    moved=5,
    renames=500,
    sources=10,
    many=20_000,
    rounds=2,
)


def words(size):
    """`1 GiB`, `256 MiB`."""
    return f"{size >> 30} GiB" if size % (1 << 30) == 0 else f"{size >> 20} MiB"
