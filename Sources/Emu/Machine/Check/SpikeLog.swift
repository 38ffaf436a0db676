import Engine

/// Spike's commit log (`--log-commits`).
///
/// - SeeAlso: riscv-isa-sim, `riscv/execute.cc`, `commit_log_print_insn`.
struct SpikeLog: ForeignLog {
  private var lines: LineReader

  init(_ bytes: [UInt8]) { lines = LineReader(bytes) }

  mutating func next() throws(LogError) -> ForeignStep? {
    while let line = lines.next() {
      let words = line.split(separator: " ")
      if words.isEmpty { continue }
      do throws(LogError) {
        if let step = try step(words) { return step }
      } catch {
        throw lines.isCutOff
          ? LogError(line: lines.number, what: "the log stops in the middle of a line") : error
      }
    }
    return nil
  }

  private func failure(_ what: String) -> LogError { LogError(line: lines.number, what: what) }

  /// - Returns: `nil` for a line that is not about a committed instruction.
  private func step(_ line: [Substring]) throws(LogError) -> ForeignStep? {
    var words = line[...]
    var hart = 0
    if words.first == "core" {
      words = words.dropFirst()
      guard let number = words.first, number.hasSuffix(":"), let value = Int(number.dropLast()),
        (0..<4096).contains(value)
      else { throw failure("'core' without a number") }
      hart = value
      words = words.dropFirst()
    } else if let first = words.first, first.hasPrefix("core"), first.hasSuffix(":"),
      let value = Int(first.dropFirst(4).dropLast()), (0..<4096).contains(value)
    {
      hart = value
      words = words.dropFirst()
    }
    // What `-l` prints besides: the instruction before it is executed, symbols, exceptions.
    if let first = words.first {
      if first == ">>>>" || first == "exception" || first == "tval" || first == "interrupt" {
        return nil
      }
      if first.hasPrefix("0x"), words.count >= 2, words[words.startIndex + 1].hasPrefix("(0x") {
        return nil
      }
    }
    guard words.count >= 3, let mode = Int(words[words.startIndex]), [0, 1, 3].contains(mode),
      let pc = hexNumber(words[words.startIndex + 1], digits: 16)
    else { throw failure("not a line of Spike's commit log") }
    let insn = words[words.startIndex + 2]
    guard insn.hasPrefix("("), insn.hasSuffix(")"),
      let bits = hexNumber(insn.dropFirst().dropLast())
    else { throw failure("the instruction is '\(insn)'") }
    // Old versions print eight digits for two bytes too.
    let length = bits & 3 == 3 ? 4 : 2
    guard bits >> UInt64(8 * length) == 0 else { throw failure("the instruction is '\(insn)'") }
    var step = ForeignStep(
      line: lines.number, hart: hart, mode: mode,
      insns: [.init(pc: pc, bytes: littleEndian(bits, length))])
    var stores: [ForeignStep.Store] = []
    words = words.dropFirst(3)
    while let word = words.popFirst() {
      if word == "mem" {
        guard let at = words.popFirst(), let address = hexNumber(at, digits: 16) else {
          throw failure("'mem' without an address")
        }
        if let value = words.first, value.hasPrefix("0x") {
          words = words.dropFirst()
          let digits = value.utf8.count - 2
          guard [2, 4, 8, 16].contains(digits), let number = hexNumber(value) else {
            throw failure("the value '\(value)'")
          }
          stores.append(.init(address: address, size: digits / 2, value: number))
        }
        continue
      }
      try register(word, &words, &step)
    }
    step.stores = stores
    return step
  }

  /// `x5 VALUE`, `x 5 VALUE`, `f5 VALUE`, `c768_mstatus VALUE`.
  private func register(
    _ word: Substring, _ words: inout ArraySlice<Substring>, _ step: inout ForeignStep
  ) throws(LogError) {
    guard let file = word.first, "xfc".contains(file) else { throw failure("'\(word)'") }
    var name = word.dropFirst()
    if name.isEmpty {
      guard let next = words.popFirst() else { throw failure("a register without a number") }
      name = next
    }
    guard let text = words.popFirst(), let value = hexNumber(text, digits: 16) else {
      throw failure("register \(word) without a value of 16 digits")
    }
    if file == "c" {
      // The names of those that are kept in a slot; others are derived.
      if let slot = CheckedRegisters.system[String(name.drop { $0 != "_" }.dropFirst())] {
        step.after[slot] = value
      }
      return
    }
    guard let number = Int(name), (0..<32).contains(number) else {
      throw failure("the register '\(word)'")
    }
    if file == "x", number == 0 { return }
    step.after[file == "x" ? number : Slot.fp + number] = value
  }
}
