import ArgumentParser
import Foundation

/// One line of `cases.txt`: how a guest image is run and what counts.
struct Case {
  var name: String
  var image: String
  var status: Int32
  var environment: [String] = []
  /// Relative to the folder of the cases.
  var input: String?
  /// Compare each line up to this word.
  var cut: String?
  /// Somebody else than QEMU said what is right.
  var oracle: String?
  var firmware = false
  var machine = "virt"
  var arguments: [String] = []
}

/// A folder of images with their cases: `images/user` or `images/bare`.
struct CaseFolder {
  let url: URL
  let isBare: Bool

  init(images: String, bare: Bool) throws {
    url = URL(fileURLWithPath: images).appendingPathComponent(bare ? "bare" : "user")
    isBare = bare
    guard FileManager.default.fileExists(atPath: url.appendingPathComponent("cases.txt").path)
    else {
      throw ToolError(
        description: "\(url.path)/cases.txt does not exist; --images says where it is")
    }
  }

  /// The cases, or those named.
  ///
  /// Without an instruction set those of RISC-V.
  func cases(only: [String], isa: String = "riscv64") throws -> [Case] {
    let text = try String(contentsOf: url.appendingPathComponent("cases.txt"), encoding: .utf8)
    let all = try text.split(separator: "\n").filter { !$0.hasPrefix("#") }
      .compactMap { try parse($0, isa) }
    for name in only where !all.contains(where: { $0.name == name }) {
      throw ToolError(description: "there is no case \(name) in \(url.path)/cases.txt")
    }
    return only.isEmpty ? all : all.filter { only.contains($0.name) }
  }

  private func parse(_ line: Substring, _ isa: String) throws -> Case? {
    var words = line.split(separator: " ").map(String.init)[...]
    guard let name = words.popFirst() else { return nil }
    let image = isBare ? name : words.popFirst() ?? ""
    guard let status = words.popFirst().flatMap({ Int32($0) }) else {
      throw ToolError(description: "\(url.path)/cases.txt: no status in: \(line)")
    }
    var parsed = Case(name: name, image: image, status: status)
    for word in words {
      func value(_ prefix: String) -> String? {
        word.hasPrefix(prefix) ? String(word.dropFirst(prefix.count)) : nil
      }
      if let text = value("env:") {
        parsed.environment.append(text)
      } else if let text = value("stdin:") {
        parsed.input = text
      } else if let text = value("cut:") {
        parsed.cut = text
      } else if let text = value("only:") {
        // Another guest's.
        if text != isa { return nil }
      } else if value("x86_64:") != nil {
        continue
      } else if let text = value("oracle:") {
        parsed.oracle = text
      } else if let text = value("machine:") {
        parsed.machine = text
      } else if isBare, word == "sbi" {
        parsed.firmware = true
      } else {
        parsed.arguments.append(word)
      }
    }
    return parsed
  }

  func input(_ named: Case) throws -> [UInt8] {
    guard let input = named.input else { return [] }
    return try [UInt8](Data(contentsOf: url.appendingPathComponent(input)))
  }

  /// What is recorded as right, if anything is.
  func expected(_ named: Case) -> [String]? {
    let file = url.appendingPathComponent("expected/\(named.name).txt")
    return (try? Data(contentsOf: file)).map { Self.lines([UInt8]($0)) }
  }

  /// What is known to be wrong in QEMU's output: columns of `qemu-wrong.txt` behind the name.
  func knownWrong(_ named: Case) -> [[String]] {
    let file = url.appendingPathComponent("qemu-wrong.txt")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").map { $0.split(separator: "|").map(String.init) }
      .filter { $0.first == named.name }.map { Array($0.dropFirst()) }
  }

  /// Bytes as lines; any byte survives.
  static func lines(_ bytes: [UInt8]) -> [String] {
    bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map {
      String($0.map { Character(Unicode.Scalar($0)) })
    }
  }

  /// Output as it is compared.
  func normal(_ bytes: [UInt8], _ named: Case) -> [String] {
    var lines = Self.lines(isBare ? bytes.filter { $0 != 0x0d } : bytes)
    if named.firmware, let first = lines.firstIndex(where: { $0.hasPrefix("sbi:") }) {
      lines.removeFirst(first)
    }
    if let cut = named.cut {
      lines = lines.map { line in
        line.range(of: " \(cut) ").map { String(line[..<$0.lowerBound]) } ?? line
      }
    }
    return lines
  }

  /// QEMU's output with its known mistakes put right.
  func corrected(_ lines: [String], _ named: Case) -> [String] {
    let wrong = knownWrong(named)
    if isBare {
      return lines.map { line in
        wrong.first { $0.count == 2 && $0[0] == line }.map { $0[1] } ?? line
      }
    }
    guard !wrong.isEmpty else { return lines }
    return lines.map { line in
      if wrong.contains(where: { line == "FAIL \($0.first ?? "")" }) {
        return "ok" + line.dropFirst(4)
      }
      if line.hasSuffix(": \(wrong.count) failed") {
        return String(line.prefix { $0 != ":" }) + ": good"
      }
      return line
    }
  }
}

/// Options of both commands.
struct CaseOptions: ParsableArguments {
  @Option(help: "The emu executable (default: beside this tool).")
  var emu: String?

  @Option(help: "The folder of images.")
  var images = "images"

  @Option(help: "Run emu with these caches: coherent or architectural.")
  var caches = "coherent"

  @Option(help: "Seconds after which a run is killed.")
  var timeout: Double = 120

  @Argument(help: "Cases to run; all without any.")
  var cases: [String] = []

  func emuPath() throws -> String {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      .deletingLastPathComponent().appendingPathComponent("emu").path
    let path = emu ?? beside
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw ToolError(description: "\(path) is not executable; build it, or say --emu PATH")
    }
    return URL(fileURLWithPath: path).path
  }
}

/// A table of verdicts.
struct Report {
  private var rows: [(name: String, qemu: String, emu: String, seconds: Double, verdict: String)] =
    []
  private var details: [String] = []
  private(set) var differences = 0

  mutating func add(
    _ named: Case, qemu: Outcome?, emu: Outcome, seconds: Double, complaints: [String]
  ) {
    let their = qemu.map { $0.timedOut ? "killed" : "\($0.status)" } ?? "-"
    let our = emu.timedOut ? "killed" : "\(emu.status)"
    if !complaints.isEmpty { differences += 1 }
    rows.append((named.name, their, our, seconds, complaints.isEmpty ? "same" : "DIFFERS"))
    details += complaints.map { "\(named.name): \($0)" }
    let last = rows[rows.count - 1]
    print(
      Self.line(last.name, last.qemu, last.emu, String(format: "%.2f s", seconds), last.verdict))
  }

  static func line(_ columns: String...) -> String {
    let widths = [15, 7, 7, 9, 0]
    return zip(columns, widths).map { text, width in
      text + String(repeating: " ", count: max(1, width - text.count))
    }.joined()
  }

  func finish() throws {
    for detail in details { print(detail) }
    print("\(rows.count) cases, \(differences) differ")
    if differences > 0 { throw ExitCode(1) }
  }
}

/// Where two outputs part, in a sentence; `nil` where they do not.
func difference(_ ours: [String], _ theirs: [String], from whom: String) -> String? {
  guard ours != theirs else { return nil }
  let same = zip(ours, theirs).prefix { $0 == $1 }.count
  func shown(_ lines: [String]) -> String {
    same < lines.count ? "\"\(lines[same].prefix(120))\"" : "the end"
  }
  return "line \(same + 1): emu prints \(shown(ours)), \(whom) \(shown(theirs))"
}
