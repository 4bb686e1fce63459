internal import CFuzzer
internal import Glibc

/// Runs libFuzzer with the process's arguments. (SwiftPM gives an executable's entry point a name of
/// its own, so that libFuzzer's is not found.)
public func runFuzzer(
  _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> Never {
  var count = CommandLine.argc
  var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
  exit(LLVMFuzzerRunDriver(&count, &arguments, body))
}
