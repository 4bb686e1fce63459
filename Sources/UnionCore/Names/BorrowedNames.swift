public import SystemCalls

/// Whether a C string begins so.
public func hasPrefix(_ name: CName, _ prefix: StaticString) -> Bool {
  for index in 0..<prefix.utf8CodeUnitCount
  where UInt8(bitPattern: name[index]) != prefix.utf8Start[index] { return false }
  return true
}

/// Whether a C string is that.
public func isEqual(_ name: CName, _ text: StaticString) -> Bool {
  hasPrefix(name, text) && name[text.utf8CodeUnitCount] == 0
}

/// A name in static memory.
public func borrowedName(_ text: StaticString) -> CName {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
