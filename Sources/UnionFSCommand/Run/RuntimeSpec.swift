internal import JSONValue
internal import SystemPackage

/// What an OCI runtime is told about a container: `config.json` of the runtime specification 1.0.2.
struct RuntimeSpec: Equatable {
  /// A file or directory of the host that the container sees at a place.
  struct Bind: Equatable {
    var source: String
    var target: String
    var isReadOnly = false
  }

  enum Network: String, Equatable, CaseIterable {
    /// Loopback alone.
    case none
    /// The host's.
    case host
  }

  /// Who runs the container, where that is not root.
  struct Mapping: Equatable {
    var user: UInt32
    var group: UInt32
  }

  /// The root directory, absolute.
  var root: String
  var arguments: [String]
  /// `NAME=VALUE`.
  var environment: [String]
  var directory = "/"
  var user = ContainerUser()
  var hostname: String
  var binds: [Bind] = []
  var network = Network.none
  var hasTerminal = false
  /// nil for root's containers.
  var rootless: Mapping?
  /// The runtime's cgroup, absolute; nil where the caller may make none.
  var controlGroup: String?
}

extension RuntimeSpec {
  var json: JSONValue {
    [
      "ociVersion": "1.0.2",
      "process": process,
      "root": ["path": .string(root), "readonly": false],
      "hostname": .string(hostname),
      "mounts": .array(mounts),
      "linux": linux,
    ]
  }

  private var process: JSONValue {
    let capabilities = JSONValue.array(Self.capabilities.map { .string("CAP_" + $0) })
    // A user other than root holds none of its own, as under Docker.
    let held: JSONValue = user.id == 0 ? capabilities : []
    return [
      "terminal": .bool(hasTerminal),
      "user": [
        "uid": .integer(Int64(user.id)), "gid": .integer(Int64(user.group)),
        "additionalGids": .array(
          rootless == nil ? user.others.map { .integer(Int64($0)) } : []),
      ],
      "args": .array(arguments.map { .string($0) }),
      "env": .array(environment.map { .string($0) }),
      "cwd": .string(directory),
      "capabilities": [
        "bounding": capabilities, "effective": held, "permitted": held, "inheritable": [],
      ],
      "noNewPrivileges": false,
    ]
  }

  /// Docker's default set.
  private static let capabilities = [
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP",
    "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
  ]

  private static func mount(
    _ type: String, _ target: String, _ source: String, _ options: [String]
  ) -> JSONValue {
    [
      "destination": .string(target), "type": .string(type), "source": .string(source),
      "options": .array(options.map { .string($0) }),
    ]
  }

  private var mounts: [JSONValue] {
    // Group 5, tty, is not mapped where a user has one group alone.
    let terminals =
      ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
      + (rootless == nil ? ["gid=5"] : [])
    var list = [
      Self.mount("proc", "/proc", "proc", ["nosuid", "noexec", "nodev"]),
      Self.mount("tmpfs", "/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      Self.mount("devpts", "/dev/pts", "devpts", terminals),
      Self.mount(
        "tmpfs", "/dev/shm", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
      Self.mount("mqueue", "/dev/mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
      sysMount,
    ]
    list += binds.map {
      Self.mount(
        "bind", $0.target, $0.source, ["rbind", "rprivate", $0.isReadOnly ? "ro" : "rw"])
    }
    return list
  }

  /// A user may mount sysfs only together with a network of its own.
  private var sysMount: JSONValue {
    if rootless != nil && network == .host {
      return Self.mount("bind", "/sys", "/sys", ["rbind", "nosuid", "noexec", "nodev", "ro"])
    }
    return Self.mount("sysfs", "/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"])
  }

  private var linux: JSONValue {
    var namespaces = ["pid", "ipc", "uts", "mount"]
    if network == .none { namespaces.append("network") }
    if rootless != nil { namespaces.append("user") }
    var linux: JSONValue = [
      "namespaces": .array(namespaces.map { ["type": .string($0)] }),
      "maskedPaths": .array(Self.masked.map { .string($0) }),
      "readonlyPaths": .array(Self.readOnly.map { .string($0) }),
    ]
    if let controlGroup { linux["cgroupsPath"] = .string(controlGroup) }
    if let rootless {
      linux["uidMappings"] = [Self.map(rootless.user)]
      linux["gidMappings"] = [Self.map(rootless.group)]
    } else {
      linux["resources"] = ["devices": .array(Self.devices)]
    }
    return linux
  }

  private static func map(_ host: UInt32) -> JSONValue {
    ["containerID": 0, "hostID": .integer(Int64(host)), "size": 1]
  }

  /// Docker's: none, but any may be made (mknod), and the harmless ones and terminals are there.
  private static let devices: [JSONValue] = {
    func rule(_ type: String, _ major: Int64?, _ minor: Int64?, _ access: String) -> JSONValue {
      var rule: JSONValue = ["allow": true, "type": .string(type), "access": .string(access)]
      if let major { rule["major"] = .integer(major) }
      if let minor { rule["minor"] = .integer(minor) }
      return rule
    }
    return [
      ["allow": false, "access": "rwm"], rule("c", nil, nil, "m"), rule("b", nil, nil, "m"),
      rule("c", 1, 3, "rwm"), rule("c", 1, 5, "rwm"), rule("c", 1, 7, "rwm"),
      rule("c", 1, 8, "rwm"), rule("c", 1, 9, "rwm"), rule("c", 5, 0, "rwm"),
      rule("c", 5, 2, "rwm"), rule("c", 136, nil, "rwm"),
    ]
  }()

  private static let masked = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
  ]
  private static let readOnly = [
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
  ]
}
