internal import ArgumentParser

/// What a shell offers for the names of a layer store, the default one.
enum Completion {
  static var images: CompletionKind {
    .shellCommand(
      #"unionfs-swift images --format "{{.Repository}}:{{.Tag}}" 2>/dev/null | grep -v "^<none>""#)
  }
  static var containers: CompletionKind {
    .shellCommand(#"unionfs-swift ps -a --format "{{.Names}}" 2>/dev/null"#)
  }
}
