internal import SystemCalls
internal import SystemPackage

/// Which processes have to do with a mount, as far as /proc shows them to the caller.
enum MountUsers {
  /// Processes whose directory, root, program or open files lie in the mount: `PID (NAME)`.
  static func holders(of mountPoint: FilePath) -> [String] {
    ProcessTable.processes.filter { holds($0, mountPoint) }.map { process in
      "\(process) (\(name(of: process)))"
    }
  }

  /// Processes that serve a FUSE connection: their descriptor of /dev/fuse names it (Linux 6.16; none
  /// is found on older kernels).
  static func servers(ofConnection connection: String) -> [Int32] {
    ProcessTable.processes.filter { process in
      descriptors(of: process).contains { descriptor in
        let directory = "/proc/\(process)"
        guard ProcessTable.link(FilePath("\(directory)/fd/\(descriptor)")) == "/dev/fuse",
          let facts = try? Disk.read(FilePath("\(directory)/fdinfo/\(descriptor)"), limit: 4096)
        else { return false }
        return String(decoding: facts, as: UTF8.self).split(separator: "\n").contains {
          $0 == "fuse_connection:\t\(connection)"
        }
      }
    }
  }

  private static func holds(_ process: Int32, _ mountPoint: FilePath) -> Bool {
    let directory = "/proc/\(process)"
    let links = ["cwd", "root", "exe"] + descriptors(of: process).map { "fd/\($0)" }
    return links.contains { link in
      ProcessTable.link(FilePath("\(directory)/\(link)"))?.starts(with: mountPoint) ?? false
    }
  }

  private static func descriptors(of process: Int32) -> [String] {
    ProcessTable.names(in: FilePath("/proc/\(process)/fd"))
  }

  private static func name(of process: Int32) -> String {
    let bytes = (try? Disk.read(FilePath("/proc/\(process)/comm"), limit: 256)) ?? []
    return Text.printable(bytes.filter { $0 != UInt8(ascii: "\n") })
  }
}
