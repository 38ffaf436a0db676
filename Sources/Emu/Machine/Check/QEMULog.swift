import Engine
import RISCV

/// QEMU's log of `-d in_asm,cpu,nochain`, with `-singlestep` or without, for RISC-V.
///
/// A block's instructions come when it is translated, the registers each time before it runs.
///
/// - SeeAlso: QEMU, `accel/tcg/translator.c`, `translator_loop`; `target/riscv/cpu.c`,
///   `riscv_cpu_dump_state`.
struct QEMULog: ForeignLog {
  private var lines: LineReader
  /// The instructions of the blocks by their address.
  private var blocks: [UInt64: [ForeignStep.Insn]] = [:]
  private var state: (line: Int, pc: UInt64, registers: [Int: UInt64])?
  private var open: [ForeignStep.Insn] = []
  private var isAtEnd = false

  init(_ bytes: [UInt8]) { lines = LineReader(bytes) }

  private func failure(_ what: String) -> LogError {
    LogError(
      line: lines.number, what: lines.isCutOff ? "the log stops in the middle of a line" : what)
  }

  mutating func next() throws(LogError) -> ForeignStep? {
    while !isAtEnd {
      let before = state
      // The block that the state before belongs to: the next state may follow another translation.
      let insns = before.flatMap { blocks[$0.pc] }
      guard let found = try nextState() else {
        isAtEnd = true
        return nil
      }
      state = found
      guard let before else { continue }
      guard let insns = insns ?? blocks[before.pc], !insns.isEmpty else {
        throw LogError(
          line: before.line,
          what: "no instructions were logged for pc 0x\(String(before.pc, radix: 16)) "
            + "(-d in_asm is needed from the start)")
      }
      var step = ForeignStep(line: before.line, insns: insns)
      step.before = before.registers
      step.after = found.registers
      step.isComplete = true
      step.next = found.pc
      return step
    }
    return nil
  }

  /// Reads up to the next dump of registers, and that.
  private mutating func nextState() throws(LogError) -> (
    line: Int, pc: UInt64, registers: [Int: UInt64]
  )? {
    var pc: UInt64?
    var first = 0
    var registers: [Int: UInt64] = [:]
    while let line = lines.next() {
      if line.hasPrefix("0x") {
        try insn(line)
        continue
      }
      if !open.isEmpty {
        blocks[open[0].pc] = open
        open = []
      }
      let words = line.split(separator: " ")
      guard let name = words.first else { continue }
      if name == "pc" {
        guard words.count == 2, words[1].utf8.count == 16, let value = UInt64(words[1], radix: 16)
        else { throw failure("a pc without a value of 16 digits") }
        pc = value
        first = lines.number
        registers = [:]
        continue
      }
      guard pc != nil, let file = name.first, file == "x" || file == "f", name.contains("/") else {
        if name == "mhartid" {
          throw failure("a log of QEMU's system mode: only those of qemu-riscv64 are read")
        }
        // Headings, and system registers.
        if lines.isCutOff { throw failure("") }
        continue
      }
      guard words.count % 2 == 0 else { throw failure("a register without a value") }
      for at in stride(from: 0, to: words.count, by: 2) {
        guard let number = Int(words[at].dropFirst().prefix { $0 != "/" }),
          (0..<32).contains(number),
          words[at + 1].utf8.count == 16, let value = UInt64(words[at + 1], radix: 16)
        else { throw failure("the register '\(words[at])'") }
        if file == "f" {
          registers[Slot.fp + number] = value
        } else if number > 0 {
          registers[number] = value
        }
        // The last register of a dump; with -d fpu the f registers follow.
        if number == 31, file == "x", let pc, !hasFloats { return (first, pc, registers) }
        if number == 31, file == "f", let pc { return (first, pc, registers) }
      }
    }
    return nil
  }

  /// Whether dumps have f registers too: the first line of the log's first dump's end says so.
  private lazy var hasFloats: Bool = {
    var copy = lines
    while let line = copy.next() {
      let words = line.split(separator: " ")
      guard let name = words.first else { continue }
      if name.hasPrefix("f0/") { return true }
      if name == "pc" || line.hasPrefix("0x") { return false }
    }
    return false
  }()

  /// Reads `0x0000000001003502:  1141              addi                    sp,sp,-16`.
  private mutating func insn(_ line: Substring) throws(LogError) {
    let words = line.split(separator: " ")
    guard words.count >= 2, words[0].hasSuffix(":"),
      let pc = hexNumber(words[0].dropLast(), digits: 16), let bits = UInt64(words[1], radix: 16),
      [4, 8].contains(words[1].utf8.count)
    else { throw failure("not an instruction of in_asm") }
    open.append(.init(pc: pc, bytes: littleEndian(bits, words[1].utf8.count / 2)))
  }
}
