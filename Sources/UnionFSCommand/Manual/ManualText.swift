/// What the manual tells beside the commands' own help. docs/cli.md has the whole of it.
enum ManualText {
  /// When the texts below were last changed; a page has a date.
  static let date = "2026-11-25"

  static let description = [
    """
    Mounts directories over each other as one writable tree, in the format of aufs: what is changed lands \
    in the top branch, what is removed leaves an empty file .wh.NAME there, and the branches below are never \
    written to. Layer stores of Docker's aufs driver are mounted as they are; images and containers in that \
    format are made, run, changed, loaded and saved by the verbs below.
    """,
    """
    Called by the name fuse-overlayfs, through a link, it is a mount program for podman, buildah, dockerd and \
    containerd; called as mount.unionfs-swift, it is a helper of mount(8).
    """,
  ]

  static let mountOptionsLead = """
    Words after -o, joined by commas; \\, is a comma in a value. Of two opposites the last wins.
    """

  static let mountOptions = [
    (
      "br:DIR=PERM:DIR=PERM...",
      """
      The branches, top first; also br= and dirs=. PERM is rw (the first only), ro or rr, with +wh where the \
      branch's whiteouts count and +nolwh where they are no hard links. A colon, a comma and a backslash of a \
      path stand behind a backslash.
      """
    ),
    ("ro, rw", "With ro no branch is written to."),
    (
      "sync=auto|strict|volatile",
      """
      What is flushed before a copy-up is seen: its data (auto), directories too, or nothing.
      """
    ),
    (
      "rename=materialise|exdev",
      "Renaming a directory with lower content is done, or refused with EXDEV as aufs does."
    ),
    (
      "owners=disk|xattr",
      """
      What tells a file's owner, mode and type: itself, or user.containers.override_stat, as in layers of an \
      ordinary user's store.
      """
    ),
    (
      "passthrough=auto|stacked|off",
      """
      Whether the kernel reads and writes files of the top branch by itself (root, Linux 6.9): where the file \
      system is not stacked, on stacked ones too, or never.
      """
    ),
    (
      "writeback=auto|off",
      "Whether the kernel collects what is written, where it cannot write by itself."
    ),
    (
      "readers=coherent|fast",
      """
      Whether who has a lower file open sees what is written to it later, or what it was, which is faster to \
      read.
      """
    ),
    ("serve=near|any", "Whether a single caller is served on its own core."),
    (
      "shwh, noshwh",
      "Whiteouts are shown as .wh.NAME; for mounts that nothing can be changed through."
    ),
    ("sum, nosum", "statfs(2) adds the branches' file systems up."),
    (
      "acl, noacl",
      "Whether POSIX ACLs hold, are seen and are inherited (default), or modes alone decide."
    ),
    ("static_nlink", "Every directory has one link, not only those of several branches."),
    (
      "allow_other, allow_root",
      "Who may use the mount beside its owner. Root's default is allow_other."
    ),
    ("fsname=NAME, subtype=NAME", "The source and the type that the mount is listed with."),
    ("max_read=BYTES", "The most that the kernel reads at once."),
  ]

  static let exitStatus = [
    ("0", "Done. For mount: the mount is live."),
    (
      "1",
      "The system refused. For check: findings remain. For the layer store: what docker answers with 1."
    ),
    ("64", "The command line is wrong."),
    ("65", "A file that was read is malformed."),
    ("66", "Something named does not exist or cannot be opened."),
    (
      "69",
      "The branches do not make a union: twice the same, one inside another, a second writable one."
    ),
    ("74", "check alone: the system refused."),
    ("75", "In use: another mount holds the writable branch, or the mount to take away is busy."),
    ("77", "The caller lacks a permission or a privilege."),
    ("130", "Ended by Ctrl-C; nothing half-made is left."),
  ]

  static let files = [
    ("/var/lib/unionfs-swift", "Root's layer store."),
    ("~/.local/share/unionfs-swift", "Another user's, unless XDG_DATA_HOME is set."),
    ("ROOT/layers/ID", "A layers file: the ids of a layer's parents, nearest first, one a line."),
    ("ROOT/diff/ID, ROOT/mnt/ID", "A layer's own files; where it is mounted."),
    (
      ".wh.NAME, .wh..wh.opq",
      "In a branch: NAME is hidden in those below; nothing of those below shows in this directory."
    ),
    (
      ".wh..wh.unionfs, .wh..wh.aufs, .wh..wh.plnk",
      "At the root of the top branch: the work area, what whiteouts are links to, hard-linked files."
    ),
    (
      "/usr/libexec/unionfs-swift/fuse-overlayfs",
      "The link to name as mount_program in containers-storage.conf(5)."
    ),
  ]

  static let environment = [
    ("XDG_DATA_HOME, HOME", "Where an ordinary user's layer store lies."),
    ("NO_COLOR", "No colours on a terminal."),
    ("PATH", "Where runc, crun and fusermount3 are looked for."),
  ]

  static let helper = [
    """
    Installed in /sbin under this name and as mount.fuse.unionfs-swift, it is what mount(8) runs for the types \
    unionfs-swift and fuse.unionfs-swift. Without it, mount.fuse3(8) runs 'unionfs-swift SOURCE TARGET -o OPT,…', \
    which is the same. It returns when the mount is live; umount(8) takes the mount away.
    """,
    """
    The mount is listed with SOURCE as its source, by which 'mount -a' knows what is mounted already. A blank \
    in a path of fstab(5) is written as \\040; a path with a comma cannot be written there.
    """,
  ]

  static let helperStatus = [
    ("0", "The mount is live."),
    ("1", "A wrong option or operand, or a permission is missing."),
    (
      "32",
      "The mount failed: a branch or a layer is missing, in use or malformed, or the system refused."
    ),
  ]

  static let helperExamples = [
    (
      "Lines of fstab(5):",
      """
      none                   /srv  unionfs-swift       br:/top=rw:/base=ro+wh      0 0
      /store/aufs/layers/ID  /mnt  fuse.unionfs-swift  ro,nofail,_netdev           0 0
      union                  /app  unionfs-swift       noauto,user,br:/a=rw:/b=ro  0 0
      """
    ),
    (
      "A unit of systemd, /etc/systemd/system/srv.mount:",
      """
      [Unit]
      RequiresMountsFor=/top /base

      [Mount]
      What=none
      Where=/srv
      Type=unionfs-swift
      Options=br:/top=rw:/base=ro+wh

      [Install]
      WantedBy=multi-user.target
      """
    ),
  ]
}
