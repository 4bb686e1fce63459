internal import ImageArchive
internal import Synchronization
internal import SystemCalls
internal import SystemPackage
internal import UnionCore

/// Copies a directory as a layer: packed to a tar by one thread, unpacked by another, so that the copy is
/// what the tar would give, and its digest is known.
enum LayerPipe {
  private final class Outcome: @unchecked Sendable {
    private let lock = Lock()
    private var failure: Failure?
    private var notes: [String] = []
    deinit { lock.destroy() }
    func set(_ failure: Failure) { lock.whileLocked { self.failure = failure } }
    func set(_ notes: [String]) { lock.whileLocked { self.notes = notes } }
    var result: (failure: Failure?, notes: [String]) { lock.whileLocked { (failure, notes) } }
  }

  /// - Parameters:
  ///   - source: a readable descriptor of the directory; it stays the caller's.
  ///   - name: what messages call it.
  ///   - target: of an empty directory.
  ///   - tarData: of an empty file, or nil.
  static func copy(
    _ source: CInt, name: String, _ packing: PackingOptions, into target: CInt, tarData: CInt?,
    _ extraction: ExtractionOptions, _ watch: Watch
  ) throws(Failure) -> ExtractedLayer {
    let (reading, writing) = try pipe()
    defer { FileSystemCall.close(reading) }
    let outcome = Outcome()
    let done = try event()
    defer { FileSystemCall.close(done) }
    do throws(Errno) {
      try ProcessCall.startThread {
        do throws(Failure) {
          // Progress is counted where it is unpacked.
          let sink = DescriptorSink(writing, name: name)
          outcome.set(try Layer.pack(source, name: name, to: sink, options: packing).notes)
        } catch { outcome.set(error) }
        FileSystemCall.close(writing)
        ProcessCall.raiseEvent(done)
      }
    } catch {
      FileSystemCall.close(writing)
      throw Failure(.failed, "a thread cannot be started: \(error)")
    }
    do throws(Failure) {
      let stream = try DescriptorSource(reading, name: name, watch: watch)
      var layer = try Layer.extract(
        stream, name: name, into: target, tarData: tarData, options: extraction, watch: watch)
      wait(for: done)
      let (failure, notes) = outcome.result
      if let failure { throw failure }
      layer.notes = notes + layer.notes
      return layer
    } catch {
      drain(reading, until: done)
      // What could not be packed ends the tar early: that is the cause.
      throw error == Failure.cancelled ? error : outcome.result.failure ?? error
    }
  }

  private static func pipe() throws(Failure) -> (reading: CInt, writing: CInt) {
    do throws(Errno) {
      let pipe = try Daemon.pipe()
      return (pipe.reading.rawValue, pipe.writing.rawValue)
    } catch { throw Failure(.failed, "a pipe cannot be made: \(error)") }
  }

  private static func event() throws(Failure) -> CInt {
    do throws(Errno) { return try ProcessCall.eventDescriptor() } catch {
      throw Failure(.failed, "a thread cannot be waited for: \(error)")
    }
  }

  private static func wait(for event: CInt) { _ = try? ProcessCall.waitReadable(event, event) }

  /// Takes what the packing thread still writes, so that it comes to its end.
  private static func drain(_ reading: CInt, until done: CInt) {
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while (try? ProcessCall.waitReadable(done, reading)) == 1 {
      let count = try? room.withMutableBytes { (room) throws(Errno) in
        try FileSystemCall.read(reading, into: room)
      }
      if count ?? 0 == 0 { break }
    }
    wait(for: done)
  }
}
