import Image

/// Some instructions of somebody else's trace, in a row, with what they are said to have done.
struct ForeignStep {
  /// An instruction of it.
  struct Insn: Equatable {
    var pc: UInt64
    var bytes: [UInt8]
  }
  /// A store.
  struct Store: Equatable {
    var address: UInt64
    var size: Int
    var value: UInt64
  }

  /// The line of the log that it comes from.
  var line: Int
  var hart = 0
  /// The privilege, where the log says so.
  var mode: Int?
  var insns: [Insn]
  /// Registers before it, by slot: all that the log shows.
  var before: [Int: UInt64]?
  /// Registers after it, by slot.
  var after: [Int: UInt64] = [:]
  /// ``after`` has all registers that ``before`` has, and not only those that were written.
  var isComplete = false
  /// What was stored; `nil` where the log does not say.
  var stores: [Store]?
  /// Bytes of memory that it read, where the log says so.
  var loads: [Store] = []
  /// The address of the next instruction, where the log says so.
  var next: UInt64?
  /// What the log's kernel wrote to memory behind it.
  var written: [(address: UInt64, bytes: [UInt8])] = []
  /// All that has changed in memory before it since the last step that has this.
  var memory: [(address: UInt64, bytes: [UInt8])]?
  /// It is no instruction: the kernel put the program elsewhere.
  var isArrival = false
}

/// Why a log can't be read.
struct LogError: Error, CustomStringConvertible {
  let line: Int
  let what: String
  /// What ``line`` counts.
  var unit = "line"
  var description: String { "\(unit) \(line): \(what)" }
}

/// Reads a log step by step.
protocol ForeignLog {
  /// The next step; `nil` at the end.
  mutating func next() throws(LogError) -> ForeignStep?
  /// What ``ForeignStep/line`` counts.
  var unit: String { get }
  /// Whether the log says all of memory that its program did not write itself.
  var knowsMemory: Bool { get }
}

extension ForeignLog {
  /// Lines of a text.
  var unit: String { "line" }
  /// Texts don't.
  var knowsMemory: Bool { false }
}

/// The lines of a file, without the ends of lines.
struct LineReader {
  private let bytes: [UInt8]
  private var at = 0
  /// The number of the line that was read last, from 1.
  private(set) var number = 0
  /// The line that was read last had no end: the file stops in it.
  private(set) var isCutOff = false

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func next() -> Substring? {
    guard at < bytes.count else { return nil }
    number += 1
    var end = at
    while end < bytes.count, bytes[end] != 10 { end += 1 }
    isCutOff = end == bytes.count
    var last = end
    if last > at, bytes[last - 1] == 13 { last -= 1 }
    let line = String(decoding: bytes[at..<last], as: UTF8.self)
    at = end + 1
    return line[...]
  }
}

/// A number of exactly `digits` hexadecimal digits behind `0x`; any number of digits without.
func hexNumber(_ text: some StringProtocol, digits: Int? = nil) -> UInt64? {
  guard text.hasPrefix("0x") else { return nil }
  let rest = text.dropFirst(2)
  guard !rest.isEmpty, digits == nil || rest.utf8.count == digits else { return nil }
  return UInt64(rest, radix: 16)
}

/// The bytes of an instruction that a log gives as a number.
func littleEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
}
