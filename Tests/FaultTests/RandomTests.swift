import TestSupport
import Testing

/// The short form of `scripts/test-random`.
@Suite struct RandomTests {
  @Test(.enabled(if: has(program: "python3"), "needs python3"))
  func randomOperationsDoWhatTheyDoOnAPlainDirectory() throws {
    let seed = currentEnvironment["UNIONFS_TEST_SEED"] ?? "\(UInt32.random(in: 0 ... .max))"
    let model = Path(#filePath).parent.parent.parent / "scripts/random_model.py"
    let end = try run(
      ["python3", "\(model)", Server.binary, "12", seed, "--steps", "600"], seconds: 150)
    #expect(end.status == 0, "\(end.output)\(end.errors)")
  }
}
