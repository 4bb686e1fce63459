import Glibc
import TestSupport
import Testing

/// `fuse-overlayfs` of an ordinary user, who is root of a namespace as podman makes one.
@Suite(
  .mounts, .rulesOfAufs,
  .enabled(
    if: Account.unprivileged != nil, "needs the account unionfs-test, which scripts/test makes"))
struct OverlayUserTests {
  /// A user's folder with a link named `fuse-overlayfs`, and what runs there in the user's namespace.
  private final class Place {
    let folder: Path
    let account: Account

    init(lower: [Item], base: [Item] = []) throws {
      account = try #require(Account.unprivileged)
      folder = Path("/var/tmp/unionfs-swift-test.\(UInt32.random(in: 0 ... .max))")
      try folder.mkdir()
      for name: Path in ["lower", "base", "upper", "work", "mnt"] { try (folder / name).mkdir() }
      try build(lower, in: folder / "lower", account: account)
      try build(base, in: folder / "base", account: account)
      for name: Path in ["", "lower", "base", "upper", "work", "mnt"] {
        try (folder / name).chown(account.uid, account.gid)
      }
      try shell("install", "-m755", Server.binary, "\(folder / "unionfs-swift")")
      try (folder / "fuse-overlayfs").symlink(to: "unionfs-swift")
    }

    deinit {
      for server in Server.processes(startedIn: folder) { Server.signal(server, SIGKILL) }
      try? folder.removeTree()
    }

    /// A shell's lines, in the folder and in namespaces of the user; a mount that they make ends with
    /// them. `show` writes what the mount shows, a line a name.
    func run(_ lines: String, subordinateIDs: Bool = false) throws -> [String] {
      _ = Server.adoptsOrphans
      let script = """
        set -e
        cd "$0"
        mount() { "$0/fuse-overlayfs" -o "lowerdir=lower:base,upperdir=upper,workdir=work$1" mnt; }
        unmount() { ./unionfs-swift umount "$PWD/mnt"; }
        show() { (cd mnt; find . -mindepth 1 -printf '%P %y %m %U:%G %l\\n' | LC_ALL=C sort); }
        \(lines)
        """
      var words = asUser + ["unshare", "-Urm", "sh", "-c", script, folder.string]
      if subordinateIDs {
        try (folder / "ids").write("\(account.name):500000:65536\n")
        // In the place of the machine's own list, for nobody but these.
        let bind = """
          mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"
          """
        words.insert("--map-auto", at: words.firstIndex(of: "-Urm") ?? 0)
        words = ["unshare", "-m", "sh", "-c", bind, "\(folder / "ids")"] + words
      }
      let end = try TestSupport.run(words)
      try end.requireSuccess("the script")
      #expect(end.errors == "")
      for server in Server.processes(startedIn: folder) {
        #expect(Server.waitForEnd(of: server) == 0)
      }
      return end.output.split(separator: "\n").map { $0.trimmingSuffix(" ") }
    }

    private var asUser: [String] {
      [
        "setpriv", "--reuid=\(account.uid)", "--regid=\(account.gid)", "--init-groups", "--",
      ]
    }

    /// What the upper directory holds, as the machine sees it.
    func layer() throws -> [String] {
      try walk(folder / "upper").map {
        "\($0.path) \(String($0.status.mode, radix: 8)) \($0.status.uid):\($0.status.gid)"
      }
    }
  }

  private static let lower: [Item] = [
    .file("f", "F"), .file("gone", "G"), .file("d/a", "A"), .file("d/b", "B", mode: 0o600),
    .symlink("l", to: "f"), .file("again/old", "O"), .whiteout("hidden"),
  ]

  @Test func aNamespaceOfOnesOwnIsEnough() throws {
    let place = try Place(lower: Self.lower, base: [.file("hidden"), .file("low", "L")])
    let shown = try place.run(
      """
      mount
      show
      echo changed
      echo + >>mnt/d/b && rm -r mnt/gone mnt/again && mkdir mnt/again && echo n >mnt/again/new
      mv mnt/d mnt/moved && ln mnt/f mnt/hard && chmod 700 mnt/low && mkfifo mnt/p
      show
      cat mnt/moved/a mnt/moved/b mnt/hard
      stat -c '%h %U' mnt/f
      unmount
      test ! -e mnt/f
      echo mounted again
      mount ,volatile
      show
      cat mnt/moved/b mnt/again/new
      unmount
      """)
    let changed = [
      "again d 755 0:0", "again/new f 644 0:0", "f f 644 0:0", "hard f 644 0:0",
      "l l 777 0:0 f", "low f 700 0:0", "moved d 755 0:0", "moved/a f 644 0:0",
      "moved/b f 600 0:0", "p p 644 0:0",
    ]
    #expect(
      shown == [
        "again d 755 0:0", "again/old f 644 0:0", "d d 755 0:0", "d/a f 644 0:0",
        "d/b f 600 0:0", "f f 644 0:0", "gone f 644 0:0", "l l 777 0:0 f", "low f 644 0:0",
        "changed",
      ] + changed + ["AB+", "F2 root", "mounted again"] + changed + ["B+", "n"])
    let own = "\(place.account.uid):\(place.account.gid)"
    // The layer is the user's, and what the mount keeps for itself lies elsewhere.
    #expect(
      try place.layer() == [
        ".wh.d 444 \(own)", ".wh.gone 444 \(own)", "again 755 \(own)",
        "again/.wh..wh..opq 444 \(own)", "again/new 644 \(own)", "f 644 \(own)",
        "hard 644 \(own)", "low 700 \(own)", "moved 755 \(own)",
        "moved/a 644 \(own)", "moved/b 600 \(own)", "p 644 \(own)",
      ])
  }

  @Test(arguments: ["user.overlay.opaque", "user.fuseoverlayfs.opaque"])
  func aDirectoryThatOthersMadeOpaqueAsAUserEndsTheMerge(attribute: String) throws {
    let place = try Place(
      lower: [.marked("d", by: attribute), .file("d/new", "N")],
      base: [.file("d/old", "O"), .file("e/old", "O")])
    let shown = try place.run(
      """
      mount
      show
      echo + >>mnt/d/new
      getfattr -Rhd -m - mnt 2>&1
      unmount
      mount
      show
      unmount
      """)
    let view = ["d d 755 0:0", "d/new f 644 0:0", "e d 755 0:0", "e/old f 644 0:0"]
    #expect(shown == view + view)
    #expect(try (place.folder / "upper").names() == ["d"])
    #expect(try (place.folder / "upper/d").attributes() == [])
    #expect(try (place.folder / "upper/d/new").text() == "N+\\n")
  }

  @Test(
    .enabled(
      if: has(program: "newuidmap") && Path("/etc/subuid").exists && Path("/etc/subgid").exists,
      "needs newuidmap of Debian's package uidmap"))
  func subordinateIDsAreOwnersLikeAnyOther() throws {
    // The namespace's 1 is the machine's 500000, and so on.
    let place = try Place(lower: [
      .file("theirs", "T").owned(500_004, 500_006), .file("d/f", "F").owned(500_004, 500_006),
      .file("own", "O"),
    ])
    let shown = try place.run(
      """
      mount
      show
      chown 33:34 mnt/own && chmod 600 mnt/own
      echo + >>mnt/theirs && mv mnt/d mnt/e
      setpriv --reuid=5 --regid=7 --clear-groups sh -ec '
        echo + >>mnt/e/f; ! test -w mnt; ! test -r mnt/own; test -O mnt/e/f && cat mnt/e/f'
      show
      unmount
      mount
      show
      unmount
      """, subordinateIDs: true)
    let changed = [
      "e d 755 0:0", "e/f f 644 5:7", "own f 600 33:34", "theirs f 644 5:7",
    ]
    #expect(
      shown == [
        "d d 755 0:0", "d/f f 644 5:7", "own f 644 0:0", "theirs f 644 5:7", "F+",
      ] + changed + changed)
    let own = "\(place.account.uid):\(place.account.gid)"
    #expect(
      try place.layer() == [
        ".wh.d 444 \(own)", "e 755 \(own)", "e/f 644 500004:500006",
        "own 600 500032:500033", "theirs 644 500004:500006",
      ])
  }
}

extension Substring {
  fileprivate func trimmingSuffix(_ character: Character) -> String {
    var text = self
    while text.last == character { text.removeLast() }
    return String(text)
  }
}
