/// A scenario's place in a report, and what came of it.
public struct ScenarioEntry: Sendable, Equatable {
  /// The scenario's file.
  public var file: String
  /// The scenario's name.
  public var name: String
  /// What came of it.
  public var result: ScenarioResult
  /// How many seeds were run; 0: none was asked for.
  public var seeds = 0
  /// Seconds that it took.
  public var seconds = 0.0

  /// The entry of a scenario.
  public init(file: String, name: String, result: ScenarioResult) {
    self.file = file
    self.name = name
    self.result = result
  }

  /// The line that repeats it.
  var command: String {
    var words = ["emu", "test", file, "--filter", name]
    if let seed = result.seed { words += ["--seed", "\(seed)"] }
    return words.map(Self.quoted).joined(separator: " ")
  }

  /// The line that replays its trace.
  var replay: String? { result.trace.map { "emu replay \(Self.quoted($0))" } }

  /// A word as a shell takes it.
  private static func quoted(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "/"),
        UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    return plain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }

  /// What is to be said of a failure, a line each.
  public var lines: [String] {
    var lines = result.failures.flatMap { $0.split(separator: "\n").map(String.init) }
    lines += result.context
    if let replay { lines.append("trace: \(replay)") }
    lines.append("repeat: \(command)")
    return lines
  }
}

/// How results are written.
public enum ReportFormat: String, Sendable, CaseIterable {
  /// A line a scenario, and what failed.
  case text
  /// Test Anything Protocol, version 14.
  case tap
  /// JUnit's XML.
  case junit
}

/// Results as text: the same for the same results, but for times, which only JUnit has.
public enum ScenarioReport {
  /// All entries in a format.
  public static func text(_ entries: [ScenarioEntry], _ format: ReportFormat) -> String {
    switch format {
    case .text: plain(entries)
    case .tap: tap(entries)
    case .junit: junit(entries)
    }
  }

  private static func plain(_ entries: [ScenarioEntry]) -> String {
    var text = ""
    for entry in entries {
      text += "\(entry.result.hasPassed ? "ok    " : "FAILED")  \(entry.name)"
      if entry.seeds > 1 {
        text +=
          entry.result.hasPassed
          ? " (\(entry.seeds) seeds)" : " (seed \(entry.result.seed ?? 0))"
      }
      text += "\n"
      if !entry.result.hasPassed { text += entry.lines.map { "        \($0)\n" }.joined() }
    }
    let failed = entries.count { !$0.result.hasPassed }
    return text + "\(entries.count - failed) passed, \(failed) failed\n"
  }

  // MARK: TAP

  /// - SeeAlso: TAP 14 specification (testanything.org), "YAML Diagnostics".
  private static func tap(_ entries: [ScenarioEntry]) -> String {
    var text = "TAP version 14\n1..\(entries.count)\n"
    for (number, entry) in entries.enumerated() {
      // What begins a directive, or an escape, is escaped.
      let name = entry.name.replacing("\\", with: "\\\\").replacing("#", with: "\\#")
      text += "\(entry.result.hasPassed ? "ok" : "not ok") \(number + 1) - \(name)\n"
      if entry.result.hasPassed { continue }
      text += "  ---\n  file: \(yaml(entry.file))\n"
      if let seed = entry.result.seed { text += "  seed: \(seed)\n" }
      text += "  repeat: \(yaml(entry.command))\n"
      if let replay = entry.replay { text += "  trace: \(yaml(replay))\n" }
      text += "  message: |\n"
      let lines = entry.result.failures.flatMap { $0.split(separator: "\n").map(String.init) }
      for line in lines + entry.result.context { text += "    \(printable(line))\n" }
      text += "  ...\n"
    }
    return text
  }

  /// A text in double quotes.
  private static func yaml(_ text: String) -> String {
    "\"" + printable(text).replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  /// Without signs that neither YAML nor XML may have.
  private static func printable(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map {
          ($0.value >= 0x20 && $0.value < 0x7f) || ($0.value >= 0xa0 && $0.value < 0xfffe)
            || $0.value >= 0x10000 || $0 == "\t" ? $0 : "?"
        }))
  }

  // MARK: JUnit

  /// - SeeAlso: Jenkins xUnit plugin, `junit-10.xsd`.
  private static func junit(_ entries: [ScenarioEntry]) -> String {
    var files: [String] = []
    for entry in entries where !files.contains(entry.file) { files.append(entry.file) }
    let failed = entries.count { !$0.result.hasPassed }
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text += "<testsuites tests=\"\(entries.count)\" failures=\"\(failed)\">\n"
    for file in files {
      let own = entries.filter { $0.file == file }
      let bad = own.count { !$0.result.hasPassed }
      let seconds = own.reduce(0) { $0 + $1.seconds }
      text +=
        "  <testsuite name=\"\(xml(file))\" tests=\"\(own.count)\" failures=\"\(bad)\" "
        + "errors=\"0\" skipped=\"0\" time=\"\(time(seconds))\">\n"
      for entry in own {
        let head =
          "    <testcase name=\"\(xml(entry.name))\" classname=\"\(xml(file))\" "
          + "time=\"\(time(entry.seconds))\""
        guard !entry.result.hasPassed else {
          text += head + "/>\n"
          continue
        }
        let first = entry.lines.first ?? ""
        text += head + ">\n      <failure message=\"\(xml(first))\">"
        text += entry.lines.map { xml($0) }.joined(separator: "\n")
        text += "</failure>\n    </testcase>\n"
      }
      text += "  </testsuite>\n"
    }
    return text + "</testsuites>\n"
  }

  private static func xml(_ text: String) -> String {
    printable(text).replacing("&", with: "&amp;").replacing("<", with: "&lt;")
      .replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
  }

  private static func time(_ seconds: Double) -> String {
    let micros = UInt64(max(seconds, 0) * 1e6)
    let rest = "\(micros % 1_000_000)"
    return "\(micros / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
  }
}
