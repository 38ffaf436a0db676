import Foundation
import Machine
import Testing

/// The guest images of this repository.
enum Images {
  /// The top of the repository.
  static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  static let directory = repository.appendingPathComponent("images")

  /// The path of a file below `images/`.
  static func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

  static func bytes(_ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: directory.appendingPathComponent(name)))
  }

  /// The cases of a `cases.txt`, whose status stands behind `fixed` words, on an instruction set.
  static func cases(
    _ kind: String, fixed: Int, on architecture: ProgramArchitecture = .riscv64
  ) -> [ImageCase] {
    guard let text = try? String(decoding: bytes("\(kind)/cases.txt"), as: UTF8.self) else {
      return []
    }
    return text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let first = words.first, !first.hasPrefix("#"), words.count > fixed else { return nil }
      return ImageCase(kind: kind, words, fixed: fixed)?.on(architecture)
    }
  }
}

/// One line of a `cases.txt`: its header explains the words.
struct ImageCase: Sendable, CustomTestStringConvertible {
  let kind: String
  let name: String
  /// The image's name without directory and suffix.
  let image: String
  private(set) var status: Int32
  private(set) var environment: [String] = []
  private(set) var input: String?
  private(set) var cut: String?
  private(set) var oracle: String?
  private(set) var machine: String?
  private(set) var entersSupervisor = false
  private(set) var arguments: [String] = []
  /// The only instruction set that has it.
  private var only: String?
  /// The exit status on x86-64, where it differs.
  private var x86Status: Int32?
  private(set) var architecture = ProgramArchitecture.riscv64

  var testDescription: String { "\(name) \(architecture)" }

  init?(kind: String, _ words: [String], fixed: Int) {
    guard let status = Int32(words[fixed]) else { return nil }
    self.kind = kind
    name = words[0]
    image = words[fixed - 1]
    self.status = status
    for word in words.dropFirst(fixed + 1) {
      let parts = word.split(separator: ":", maxSplits: 1).map(String.init)
      switch (parts[0], parts.count) {
      case ("env", 2): environment.append(parts[1])
      case ("stdin", 2): input = parts[1]
      case ("cut", 2): cut = parts[1]
      case ("oracle", 2): oracle = parts[1]
      case ("x86_64", 2): x86Status = Int32(parts[1])
      case ("only", 2): only = parts[1]
      case ("machine", 2): machine = parts[1]
      case ("sbi", 1) where kind == "bare": entersSupervisor = true
      default: arguments.append(word)
      }
    }
  }

  /// The same case on an instruction set; `nil` where there is none.
  fileprivate func on(_ architecture: ProgramArchitecture) -> ImageCase? {
    if let only, only != architecture.rawValue { return nil }
    var other = self
    other.architecture = architecture
    if architecture == .x86_64, let x86Status { other.status = x86Status }
    return other
  }

  /// The path of the image in the host.
  var path: String { Images.path("\(kind)/\(architecture)/\(image).elf") }

  func imageBytes() throws -> [UInt8] {
    try Images.bytes("\(kind)/\(architecture)/\(image).elf")
  }

  func inputBytes() throws -> [UInt8] { try input.map { try Images.bytes("\(kind)/\($0)") } ?? [] }

  func expected() throws -> String {
    let own = "\(kind)/expected/\(architecture)/\(name).txt"
    if let bytes = try? Images.bytes(own) { return String(decoding: bytes, as: UTF8.self) }
    return String(
      decoding: try Images.bytes("\(kind)/expected/\(name).txt"), as: UTF8.self)
  }

  /// Output as `expected()` has it: each line up to the text of `cut`.
  func comparable(_ output: [UInt8]) -> String {
    let text = String(decoding: output, as: UTF8.self)
    guard let cut else { return text }
    return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.range(of: " \(cut) ").map { String(line[..<$0.lowerBound]) } ?? String(line)
    }.joined(separator: "\n")
  }
}
