/// Names for containers that nobody has named: `calm_curie`.
enum ContainerNames {
  private static let manners = [
    "able", "agile", "amber", "bold", "brave", "bright", "calm", "clever", "cosy", "daring",
    "eager", "early", "fair", "fond", "frosty", "gentle", "glad", "golden", "happy", "hasty",
    "humble", "jolly", "keen", "kind", "lively", "lucid", "lucky", "merry", "mild", "modest",
    "neat", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "ready",
    "sharp", "silent", "sincere", "sober", "steady", "stoic", "sunny", "swift", "tidy", "warm",
    "wise", "witty", "young", "zealous",
  ]
  private static let people = [
    "abel", "agnesi", "archimedes", "babbage", "bell", "bohr", "boole", "carson", "cauchy",
    "curie", "darwin", "dijkstra", "einstein", "elion", "euclid", "euler", "fermat", "franklin",
    "galileo", "gauss", "germain", "goodall", "hamilton", "herschel", "hopper", "hypatia",
    "johnson", "kepler", "kovalevskaya", "lamarr", "lamport", "leavitt", "leibniz", "liskov",
    "lovelace", "mcclintock", "meitner", "mendel", "mirzakhani", "newton", "nightingale",
    "noether", "pascal", "pasteur", "ramanujan", "ritchie", "sammet", "shannon", "tesla",
    "thompson", "torvalds", "turing", "volta", "wing", "wozniak", "yalow",
  ]

  static func random(isFree: (String) -> Bool) -> String {
    var attempt = 0
    while true {
      var name = (manners.randomElement() ?? "calm") + "_" + (people.randomElement() ?? "curie")
      // As Docker does when names grow scarce.
      if attempt > 5 { name += "\(Int.random(in: 0..<(10 << min(attempt, 40))))" }
      if isFree(name) { return name }
      attempt += 1
    }
  }
}
