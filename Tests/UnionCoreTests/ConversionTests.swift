import SystemCalls
import Testing

@testable import UnionCore

private func listing(_ fill: (inout DirectoryListing) -> Void) -> DirectoryListing {
  var listing = DirectoryListing()
  fill(&listing)
  return listing
}

private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite struct ConversionPlanTests {
  private let layer = listing {
    $0.addWhiteout(name(".wh.a"), kind: .regular)
    $0.addWhiteout(name(".wh.d"), kind: .regular)
    $0.addWhiteout(name(".wh.f"), kind: .regular)
    $0.addWhiteout(name(".wh.o"), kind: .regular)
    $0.addWhiteout(inPlace: name("o"))
    $0.addWhiteout(inPlace: name("p"))
    $0.add(name("d"), kind: .directory)
    $0.add(name("f"), kind: .regular)
    $0.addOpaque(kind: .regular)
    $0.marks.isOpaque = true
  }

  @Test func toOverlayfsTheNewFormComesInEachCase() {
    let plan = ConversionPlan(layer, to: .overlay)
    #expect(
      plan.steps == [
        .makeDevice(of: name("a"), insteadOf: name(".wh.a")),
        .mark(directory: name("d"), insteadOf: name(".wh.d")), .drop(name(".wh.f")),
        .drop(name(".wh.o")), .markOpaque,
      ])
    #expect(plan.problems.isEmpty && plan.kept.isEmpty)
  }

  @Test func toAufsOnlyWhatHasTheNameItselfChanges() {
    let plan = ConversionPlan(layer, to: .aufs)
    #expect(
      plan.steps == [.makeWhiteout(of: name("o")), .makeWhiteout(of: name("p")), .makeMarker])
  }

  @Test func whatIsNoFileStandsAgainstIt() {
    let odd = listing {
      $0.addWhiteout(name(".wh.a"), kind: .fifo)
      $0.addOpaque(kind: .directory)
      $0.addWhiteout(inPlace: name("a"))
    }
    #expect(ConversionPlan(odd, to: .overlay).problems.map(\.name).count == 2)
    #expect(ConversionPlan(odd, to: .aufs).problems.map(\.name) == [name(".wh.a")])
  }

  @Test func convertingTwiceChangesNothingMore() {
    let done = listing {
      $0.addWhiteout(inPlace: name("a"))
      $0.add(name("f"), kind: .regular)
      $0.marks.isOpaque = true
    }
    #expect(ConversionPlan(done, to: .overlay).steps.isEmpty)
    let aufs = listing {
      $0.addWhiteout(name(".wh.a"), kind: .regular)
      $0.addOpaque(kind: .regular)
    }
    #expect(ConversionPlan(aufs, to: .aufs).steps.isEmpty)
  }
}
