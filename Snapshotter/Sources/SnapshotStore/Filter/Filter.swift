/// Which snapshots a client wants, in containerd's filter syntax:
///
///     filter    := selector ("," selector)*          all must match
///     selector  := fieldpath [operator value]         without an operator: the field is there
///     fieldpath := field ("." field)*                 name, parent, kind, labels.NAME
///     field     := [A-Za-z0-9_]+ | quoted
///     operator  := "==" | "!=" | "~="                 ~= takes a regular expression
///     value     := quoted | anything up to a comma or a space
///     quoted    := "…" with Go's escapes; for a value of ~= also /…/ and |…|
///
/// Deviation: a regular expression is Swift's, not Go's RE2. What both have is the same; one that does not
/// compile matches nothing, in both.
public struct Filter: Sendable {
  enum Operator: Sendable, Equatable {
    case present
    case equal
    case notEqual
    case matches
  }

  struct Selector: Sendable, Equatable {
    var path: [String]
    var relation: Operator
    var value: String
  }

  /// One that matches is enough, each by all its selectors.
  let alternatives: [[Selector]]

  /// - Parameter texts: the filters of a request; none, or an empty one among them, means everything.
  public init(_ texts: [String]) throws(SnapshotError) {
    var alternatives: [[Selector]] = []
    for text in texts {
      do throws(FilterSyntaxError) {
        alternatives.append(try FilterParser.selectors(text))
      } catch {
        throw SnapshotError(.invalidArgument, "filter '\(text)': \(error)")
      }
    }
    self.alternatives = texts.isEmpty ? [[]] : alternatives
  }

  /// A filter ready to be asked many times; its regular expressions are compiled once.
  func predicate() -> (SnapshotInfo) -> Bool {
    let compiled = alternatives.map { $0.map { ($0, $0.expression) } }
    return { info in
      compiled.contains { $0.allSatisfy { $0.accepts(info, $1) } }
    }
  }
}

extension Filter.Selector {
  /// The value as a regular expression; nil where it is none, or none is wanted.
  var expression: Regex<AnyRegexOutput>? {
    guard relation == .matches else { return nil }
    return try? Regex(value).matchingSemantics(.unicodeScalar)
  }

  func accepts(_ info: SnapshotInfo, _ expression: Regex<AnyRegexOutput>?) -> Bool {
    let found = info.field(path)
    switch relation {
    case .present: return found != nil
    case .equal: return found.map { $0.utf8.elementsEqual(value.utf8) } ?? false
    case .notEqual: return !(found ?? "").utf8.elementsEqual(value.utf8)
    case .matches:
      guard let expression else { return false }
      return (try? expression.firstMatch(in: found ?? "")) != nil
    }
  }
}

extension SnapshotInfo {
  /// A field by its path; nil where there is none. A label's dots are part of its name.
  func field(_ path: [String]) -> String? {
    switch path.first {
    case "name": name
    case "parent": parent
    case "kind": kind.word
    case "labels": labels[path.dropFirst().joined(separator: ".")]
    default: nil
    }
  }
}
