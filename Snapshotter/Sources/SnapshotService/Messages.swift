internal import ContainerdAPI
internal import GRPCCore
internal import SnapshotStore
internal import SwiftProtobuf

// The generated names, short.
typealias Snapshots = Containerd_Services_Snapshots_V1_Snapshots
typealias PrepareSnapshotRequest = Containerd_Services_Snapshots_V1_PrepareSnapshotRequest
typealias PrepareSnapshotResponse = Containerd_Services_Snapshots_V1_PrepareSnapshotResponse
typealias ViewSnapshotRequest = Containerd_Services_Snapshots_V1_ViewSnapshotRequest
typealias ViewSnapshotResponse = Containerd_Services_Snapshots_V1_ViewSnapshotResponse
typealias MountsRequest = Containerd_Services_Snapshots_V1_MountsRequest
typealias MountsResponse = Containerd_Services_Snapshots_V1_MountsResponse
typealias CommitSnapshotRequest = Containerd_Services_Snapshots_V1_CommitSnapshotRequest
typealias RemoveSnapshotRequest = Containerd_Services_Snapshots_V1_RemoveSnapshotRequest
typealias StatSnapshotRequest = Containerd_Services_Snapshots_V1_StatSnapshotRequest
typealias StatSnapshotResponse = Containerd_Services_Snapshots_V1_StatSnapshotResponse
typealias UpdateSnapshotRequest = Containerd_Services_Snapshots_V1_UpdateSnapshotRequest
typealias UpdateSnapshotResponse = Containerd_Services_Snapshots_V1_UpdateSnapshotResponse
typealias ListSnapshotsRequest = Containerd_Services_Snapshots_V1_ListSnapshotsRequest
typealias ListSnapshotsResponse = Containerd_Services_Snapshots_V1_ListSnapshotsResponse
typealias UsageRequest = Containerd_Services_Snapshots_V1_UsageRequest
typealias UsageResponse = Containerd_Services_Snapshots_V1_UsageResponse
typealias CleanupRequest = Containerd_Services_Snapshots_V1_CleanupRequest
typealias Info = Containerd_Services_Snapshots_V1_Info
typealias Kind = Containerd_Services_Snapshots_V1_Kind
typealias Mount = Containerd_Types_Mount

extension Mount {
  init(_ instruction: MountInstruction) {
    self.init()
    type = instruction.type
    source = instruction.source
    options = instruction.options
  }
}

extension Info {
  init(_ info: SnapshotInfo) {
    self.init()
    name = info.name
    parent = info.parent
    kind = Kind(info.kind)
    createdAt = Google_Protobuf_Timestamp(nanoseconds: info.created)
    updatedAt = Google_Protobuf_Timestamp(nanoseconds: info.updated)
    labels = info.labels
  }
}

extension Kind {
  init(_ kind: SnapshotKind) {
    switch kind {
    case .view: self = .view
    case .active: self = .active
    case .committed: self = .committed
    }
  }
}

extension Google_Protobuf_Timestamp {
  /// - Parameter nanoseconds: since 1970.
  init(nanoseconds: Int64) {
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    self.init(seconds: seconds, nanos: Int32(truncatingIfNeeded: rest))
  }
}

extension SnapshotError {
  /// The status by which containerd's errdefs knows the error.
  var status: RPCError.Code {
    switch code {
    case .invalidArgument: .invalidArgument
    case .notFound: .notFound
    case .alreadyExists: .alreadyExists
    case .failedPrecondition: .failedPrecondition
    case .resourceExhausted: .resourceExhausted
    case .failed: .internalError
    }
  }

  /// Whether the machine is at fault, not the request.
  var isUnexpected: Bool { code == .failed || code == .resourceExhausted }
}

extension [SnapshotInfo] {
  /// Cut into what one message takes: a hundred, and not much more than a mebibyte, of which clients take four.
  func inMessages() -> [ArraySlice<SnapshotInfo>] {
    var messages: [ArraySlice<SnapshotInfo>] = []
    var start = 0
    var bytes = 0
    for (index, info) in enumerated() {
      if index - start == 100 || bytes > 1 << 20 {
        messages.append(self[start..<index])
        start = index
        bytes = 0
      }
      bytes += info.name.utf8.count + info.parent.utf8.count
      for (name, value) in info.labels { bytes += name.utf8.count + value.utf8.count }
    }
    if start < count { messages.append(self[start...]) }
    return messages
  }
}
