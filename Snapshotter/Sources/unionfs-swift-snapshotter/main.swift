internal import ArgumentParser
internal import SystemCalls
internal import UnionCore

// The one place where an error becomes a line and a status; the statuses are unionfs-swift's own.
Daemon.openStandardDescriptors()
Faults.armFromEnvironment()
do {
  var command = try Snapshotter.parseAsRoot()
  try command.run()
} catch let failure as Failure {
  ErrorOutput.write(failure.description)
  Daemon.exit(failure.code.rawValue)
} catch {
  Snapshotter.exit(withError: error)
}
