import Engine
import RISCV

/// How an instruction trace is written.
public enum InsnFormat: String, Sendable, CaseIterable {
  /// A line an instruction: count, mode, pc, bytes, text, effects.
  case text
  /// As Spike's `--log-commits`.
  case spike
  /// As QEMU's `-singlestep -d in_asm,cpu,nochain`.
  case qemu
  /// An object a line.
  case json
  /// Functions on a time line, for Perfetto and `chrome://tracing`.
  case perfetto
  /// Numbers of blocks in a trace file: which instructions, in a fraction of a byte each.
  case blocks

  /// Whether it can be written of an instruction set: Spike's and QEMU's are RISC-V's.
  func serves(_ isa: any TraceISA) -> Bool {
    switch self {
    case .spike, .qemu: isa is RISCVTraceISA
    case .text, .json, .perfetto, .blocks: true
    }
  }
}

/// Writes records as lines.
final class InsnWriter {
  private let format: InsnFormat
  private let isa: any TraceISA
  private let symbol: (UInt64) -> String?
  private let write: (String) -> Void
  private let showsCounts: Bool
  private var lastFunction: String?
  private var lastTask: Int32 = -1
  private let slices = FunctionSlices()

  /// - Parameters:
  ///   - format: how.
  ///   - isa: facts.
  ///   - showsCounts: lines of text begin with the instruction's number.
  ///   - symbol: the function with its offset at a pc.
  ///   - write: takes text.
  init(
    _ format: InsnFormat, _ isa: any TraceISA, showsCounts: Bool,
    symbol: @escaping (UInt64) -> String?, write: @escaping (String) -> Void
  ) {
    self.format = format
    self.isa = isa
    self.symbol = symbol
    self.write = write
    self.showsCounts = showsCounts
    if format == .perfetto { write("[\n") }
  }

  func add(_ record: InsnRecord) {
    switch format {
    case .text: write(text(record))
    case .spike: write(spike(record))
    case .qemu: write(qemu(record))
    case .json: write(json(record))
    case .perfetto: write(slices.add(record, function(record.pc)))
    case .blocks: break
    }
  }

  func finish() {
    if format == .perfetto { write(slices.finish()) }
  }

  private func function(_ pc: UInt64) -> String? {
    symbol(pc).map { name in String(name.prefix { $0 != "+" }) }
  }

  // MARK: Text

  private func text(_ record: InsnRecord) -> String {
    var out = ""
    let function = function(record.pc)
    if function != lastFunction || record.task != lastTask {
      lastFunction = function
      lastTask = record.task
      out +=
        record.task >= 0 ? "<\(function ?? "?")> task \(record.task)\n" : "<\(function ?? "?")>\n"
    }
    if showsCounts { out += padded("\(record.count)", 10, left: true) + " " }
    if record.hart > 0 { out += "#\(record.hart) " }
    out += "\(record.mode) \(hex(record.pc, 16)) "
    out += isa.column(record.bytes)
    let insn = isa.disassemble(record).replacing("\t", with: " ")
    let effects = effects(record)
    out += effects.isEmpty ? insn : padded(insn, 28) + "  " + effects.joined(separator: " ")
    return out + "\n"
  }

  private func effects(_ record: InsnRecord) -> [String] {
    var parts = record.writes.map { "\($0.name)=\(hex($0.value, 16))" }
    for access in record.accesses {
      let value = access.digits ?? "?"
      parts.append(
        "\(access.isStore ? "st" : "ld")\(access.size)[\(hex(access.address, 16))]=\(value)")
    }
    if record.trapped { parts.append("trap") }
    return parts
  }

  // MARK: Spike

  /// Whether a trapped instruction has a line: one that did its work, behind which the next could not
  /// be fetched; and, where the kernel is not in the trace, a call of it, for what that gave.
  private func isCommitted(_ record: InsnRecord) -> Bool {
    let written = record.writes.map(\.slot).filter { $0 < Slot.isa }
    if record.isRepeated || written.isEmpty { return false }
    let own = isa.written(record.bytes)
    return isa.isSystemCall(record.bytes) || written.allSatisfy(own.contains)
  }

  /// - SeeAlso: riscv-isa-sim, `riscv/execute.cc`, `commit_log_print_insn`.
  private func spike(_ record: InsnRecord) -> String {
    if record.trapped, !isCommitted(record) { return "" }
    var line = "core\(padded("\(record.hart)", 4, left: true)): \(record.modeNumber) "
    line += "0x\(hex(record.pc, 16)) (0x\(isa.digits(record.bytes)))"
    for write in record.writes {
      switch write.slot {
      case 1..<32: line += " x\(padded("\(write.slot)", 2)) 0x\(hex(write.value, 16))"
      case Slot.fp..<Slot.fp + 32:
        line += " f\(padded("\(write.slot - Slot.fp)", 2)) 0x\(hex(write.value, 16))"
      default: break
      }
    }
    for access in record.accesses {
      line += " mem 0x\(hex(access.address, 16))"
      if access.isStore { line += " 0x\(access.digits ?? "0")" }
    }
    return line + "\n"
  }

  // MARK: QEMU

  /// - SeeAlso: QEMU, `target/riscv/cpu.c`, `riscv_cpu_dump_state`.
  private func qemu(_ record: InsnRecord) -> String {
    if record.isRepeated { return "" }
    var out = "----------------\nIN: \(function(record.pc) ?? "")\n"
    let insn = isa.disassemble(record)
    let parts = insn.split(separator: "\t", maxSplits: 1)
    let text = parts.count > 1 ? padded(String(parts[0]), 15) + " " + parts[1] : insn
    out += "0x\(hex(record.pc, 16)):  \(padded(isa.digits(record.bytes), 8))          \(text)\n\n"
    out += " pc       \(hex(record.pc, 16))\n"
    for index in 0..<32 {
      let name = "x\(index)/\(Registers.xNames[index])"
      out += " " + padded(name, 8) + " " + hex(index == 0 ? 0 : record.before[index - 1], 16)
      if index & 3 == 3 { out += "\n" }
    }
    return out
  }

  // MARK: JSON

  private func json(_ record: InsnRecord) -> String {
    var parts = [
      "\"count\":\(record.count)", "\"hart\":\(record.hart)", "\"mode\":\"\(record.mode)\"",
      "\"pc\":\"0x\(hex(record.pc, 16))\"",
      "\"bytes\":\"\(record.bytes.map { hex(UInt64($0), 2) }.joined())\"",
      "\"insn\":\(quoted(isa.disassemble(record).replacing("\t", with: " ")))",
    ]
    if record.task >= 0 { parts.append("\"task\":\(record.task)") }
    if let symbol = symbol(record.pc) { parts.append("\"symbol\":\(quoted(symbol))") }
    if !record.writes.isEmpty {
      let writes = record.writes.map { "\"\($0.name)\":\"0x\(hex($0.value, 16))\"" }
      parts.append("\"writes\":{\(writes.joined(separator: ","))}")
    }
    if !record.accesses.isEmpty {
      let accesses = record.accesses.map { access in
        "{\"op\":\"\(access.isStore ? "store" : "load")\",\"address\":\"0x\(hex(access.address, 16))\","
          + "\"size\":\(access.size)"
          + (access.digits.map { ",\"value\":\"0x\($0)\"" } ?? "") + "}"
      }
      parts.append("\"memory\":[\(accesses.joined(separator: ","))]")
    }
    if record.trapped { parts.append("\"trap\":true") }
    return "{\(parts.joined(separator: ","))}\n"
  }
}

/// Functions as slices of a time line: one is open a task until another function runs.
///
/// - SeeAlso: Trace Event Format, 'Duration Events'.
private final class FunctionSlices {
  private var open: [Int32: String] = [:]
  private var isFirst = true
  private var last: UInt64 = 0

  private func event(_ phase: String, _ name: String, _ task: Int32, _ time: UInt64) -> String {
    defer { isFirst = false }
    // One instruction is one nanosecond; the format counts microseconds.
    let fraction = String(time % 1000 + 1000).dropFirst()
    return (isFirst ? "" : ",\n")
      + "{\"ph\":\"\(phase)\",\"name\":\(quoted(name)),\"pid\":1,\"tid\":\(task),"
      + "\"ts\":\(time / 1000).\(fraction)}"
  }

  func add(_ record: InsnRecord, _ function: String?) -> String {
    last = record.count &+ 1
    let task = record.modeNumber == 0 ? record.task : -1
    let name = function ?? "0x\(String(record.pc & ~4095, radix: 16))"
    guard open[task] != name else { return "" }
    var out = ""
    if let before = open[task] { out += event("E", before, task, record.count) }
    out += event("B", name, task, record.count)
    open[task] = name
    return out
  }

  func finish() -> String {
    var out = ""
    for (task, name) in open.sorted(by: { $0.key < $1.key }) { out += event("E", name, task, last) }
    open = [:]
    return out + "\n]\n"
  }
}

extension TraceISA {
  /// The text of an executed instruction.
  func disassemble(_ record: InsnRecord) -> String {
    disassemble(record.bytes, at: record.pc, code: record.code)
  }

  /// An instruction as a number, as listings of the guest show it; bytes where it is long.
  func digits(_ bytes: [UInt8]) -> String {
    (maxInsnLength > 4 ? bytes : bytes.reversed()).map { hex(UInt64($0), 2) }.joined()
  }

  /// The same as a column of a line of text.
  func column(_ bytes: [UInt8]) -> String {
    padded(digits(bytes), 2 * min(maxInsnLength, 10)) + " "
  }
}

/// A number in hexadecimal digits, at least `digits` of them.
func hex(_ value: UInt64, _ digits: Int) -> String {
  let text = String(value, radix: 16)
  return text.utf8.count >= digits
    ? text : String(repeating: "0", count: digits - text.utf8.count) + text
}

/// A text with blanks to a width, behind it or (`left`) before it.
func padded(_ text: String, _ width: Int, left: Bool = false) -> String {
  let blanks = String(repeating: " ", count: max(width - text.utf8.count, 0))
  return left ? blanks + text : text + blanks
}

/// A text as a JSON string.
func quoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": out += "\\\""
    case "\\": out += "\\\\"
    case _ where scalar.value < 0x20: out += "\\u00" + hex(UInt64(scalar.value), 2)
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out + "\""
}
