internal import SystemCalls

/// What ThreadSanitizer cannot see: a request that the kernel sends after a reply happens after what
/// was done before that reply, on whatever threads. Built with `-D SANITIZE_THREAD`, a lock that is
/// touched at both ends shows it; otherwise this is nothing.
enum KernelOrder {
  #if SANITIZE_THREAD
    private static let lock = Lock()
  #endif

  @inline(__always)
  static func pass() {
    #if SANITIZE_THREAD
      lock.lock()
      lock.unlock()
    #endif
  }
}
