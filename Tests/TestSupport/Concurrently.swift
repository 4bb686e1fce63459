import Foundation
internal import Synchronization

/// Runs the body `count` times at once, each on a thread of its own, until all have ended.
/// Answers the errors they threw, as text.
@discardableResult
public func concurrently(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) -> [String]
{
  let ended = DispatchGroup()
  let errors = Errors()
  for index in 0..<count {
    ended.enter()
    Thread.detachNewThread {
      do { try body(index) } catch { errors.add("thread \(index): \(error)") }
      ended.leave()
    }
  }
  ended.wait()
  return errors.all
}

private final class Errors: Sendable {
  private let texts = Mutex<[String]>([])
  func add(_ text: String) { texts.withLock { $0.append(text) } }
  var all: [String] { texts.withLock { $0 } }
}

/// A value that several threads change.
public final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  public init(_ value: Value) { self.value = Mutex(value) }
  public var now: Value { value.withLock { $0 } }
  public func change(_ body: @Sendable (inout Value) -> Void) { value.withLock { body(&$0) } }
}
