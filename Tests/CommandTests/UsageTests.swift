import Testing

@Suite struct UsageTests {
  @Test func theVersionGoesToStandardOutput() throws {
    let run = try spawn(["--version"])
    #expect(run.status == 0)
    #expect(run.output == "0.1.0\n")
    #expect(run.error.isEmpty)
  }

  @Test(
    arguments: [
      [], ["mount"], ["umount"], ["which"], ["check"], ["images"], ["tag"], ["rmi"], ["inspect"],
      ["history"], ["tree"], ["create"], ["ps"], ["rm"], ["df"], ["du"], ["prune"],
    ])
  func everyVerbsHelpHasExamples(_ verb: [String]) throws {
    let run = try spawn(verb + ["--help"])
    #expect(run.status == 0)
    #expect(run.output.contains("EXAMPLES\n"))
    #expect(run.error.isEmpty)
  }

  @Test(arguments: [
    ([], "no verb is given"),
    (["mout", "/a"], "unknown verb 'mout'"),
    (["mount", "--bogus"], "'--bogus'"),
    (["--bogus"], "'--bogus'"),
    (["mount", "-z"], "'-z'"),
    (["mount", "--log-level", "loud", "x"], "'loud'"),
    (["mount"], "no LAYERSFILE is given"),
    (["umount"], "'<mnt> ...'"),
    (["which"], "'<path> ...'"),
    (["rmi"], "'<image> ...'"),
    (["create"], "'<image>'"),
    (["images", "--json", "--format", "x"], "--json and --format exclude each other"),
    (["mount", "--container", "a", "--image", "b"], "exclude each other"),
    (["mount", "--container", "a", "--branch", "/=ro"], "names all branches"),
    (["check", "--deep", "x"], "--deep goes with --root"),
    (["mount", "-o", "allow_othr", "x"], "'allow_othr'; did you mean 'allow_other'?"),
    (["mount", "-onosuid,noplink", "x"], "no mount option 'noplink'"),
    (["mount", "-o", "ro", "-o", "frobnicate=1", "x"], "'frobnicate=1'"),
    (["mount", "--branch", "/=rx", "/mnt"], "'rx'"),
    (["mount", "--branch", "/=ro", "-o", "br:/=ro", "/mnt"], "given twice"),
    (["mount", "--branch", "/=ro", "--upper", "/tmp", "/mnt"], "--upper"),
    (["mount", "--branch", "/=ro", "--diff-dir", "/tmp", "/mnt"], "--diff-dir"),
    (["mount", "--branch", "/=ro", "/mnt", "/other"], "'/other' is one operand too many"),
    (["mount", "--branch", "/=ro"], "no mount point"),
    (["mount", "-o", "shwh", "--branch", "/opt=rw", "/mnt"], "'shwh' needs a mount"),
  ])
  func aWrongCommandLineIsOneLineThatNamesTheWord(
    _ arguments: [String], _ message: String
  ) throws {
    let run = try spawn(arguments)
    #expect(run.status == 64)
    #expect(run.output.isEmpty)
    #expect(run.errorLines.count == 1)
    #expect(run.error.hasPrefix("unionfs-swift: "))
    #expect(run.error.contains(message), "\(run.error)")
  }

  @Test func aClosedStandardErrorDoesNotChangeTheStatus() throws {
    #expect(try spawn(["bogus"], environment: [:]).status == 64)
  }
}
