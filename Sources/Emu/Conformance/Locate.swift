import RISCV

/// A program as text.
enum Listing {
  static func text(_ program: RandomProgram) -> String {
    var lines: [String] = []
    var starts: [UInt64: Int] = [:]
    for (number, range) in program.units.enumerated() { starts[range.lowerBound] = number }
    var pc = Layout.code
    while pc < Layout.code + UInt64(program.code.count) {
      if let number = starts[pc] { lines.append("unit \(number)") }
      guard let (bits, insn) = program.insn(at: pc) else { break }
      lines.append("  " + line(pc, bits, insn))
      pc += bits & 3 == 3 ? 4 : 2
    }
    return lines.joined(separator: "\n")
  }

  static func line(_ pc: UInt64, _ bits: UInt32, _ insn: Insn?) -> String {
    let digits = String(bits, radix: 16)
    let width = bits & 3 == 3 ? 8 : 4
    let padded = String(repeating: "0", count: max(0, width - digits.count)) + digits
    let text = insn.map { Disassembler.text($0, pc: pc).replacing("\t", with: " ") } ?? "illegal"
    return "\(hex(pc))  \(padded)\(width == 4 ? "    " : "")  \(text)"
  }
}

extension Judge {
  /// Finds the first instruction whose results differ: the interval by the usual checkpoints, then
  /// the unit by checkpoints after every one of the interval.
  func locate(
    _ number: UInt64, _ variant: Variant, _ headline: String, _ ours: [UInt8], _ theirs: [UInt8]
  ) throws -> Difference {
    let program = Generator.make(seed: seed, number: number, units: units)
    var text = headline
    let coarse = Records(ours, memory: false, complete: true)
    let theirCoarse = Records(theirs, memory: false, complete: true)
    var interval = 0..<program.units.count
    if headline.hasPrefix("here") {
      // It did not get to its end, where records are written.
    } else if let first = coarse.firstDifference(theirCoarse) {
      let order = program.checkpoints.sorted { $0.key < $1.key }.map(\.value)
      // Usual checkpoints lie outside of loops, so the n-th record is the n-th checkpoint's.
      if first < order.count {
        interval = max(0, first == 0 ? 0 : order[first - 1] + 1)..<max(1, order[first] + 1)
      }
    } else {
      text += "\n  the registers agree, memory does not"
    }
    let options = Checkpoints(fine: interval, memory: true)
    let fine = try start(number, options)
    let their = Records(try fine.qemu.finish().output, memory: true, complete: true)
    let result = try runHere(fine.program, variant, number)
    let our = Records(result.output, memory: true, complete: result.failure == nil)
    if let failure = result.failure {
      text += "\n  with more checkpoints: \(failure)"
    }
    if let first = our.firstDifference(their) {
      text += "\n" + describe(fine.program, our, their, first)
    } else if our.reached < their.count {
      text += "\n" + describe(fine.program, our, their, our.reached)
    } else {
      text += "\n  no difference with a checkpoint after every instruction of units \(interval)"
    }
    let size = units == 1200 ? "" : " --units \(units)"
    text += "\n  again: emu-conformance random --seed \(seed)\(size) --program \(number)"
    return Difference(text: text)
  }

  private func describe(
    _ program: RandomProgram, _ ours: Records, _ theirs: Records, _ index: Int
  ) -> String {
    var lines: [String] = []
    let link = theirs.link(program, index)
    let unit = link.flatMap { program.checkpoints[$0] } ?? -1
    let before = index > 0 ? theirs.registers(index - 1) : [UInt64](repeating: 0, count: 64)
    guard unit >= 0, unit < program.units.count else {
      return "  at the first checkpoint"
    }
    lines.append("  unit \(unit):")
    var pc = program.units[unit].lowerBound
    var named = Set<Int>()
    while pc < program.units[unit].upperBound, let (bits, insn) = program.insn(at: pc) {
      lines.append("    " + Listing.line(pc, bits, insn))
      if let insn, let row = Encodings.row(of: insn) {
        for (kind, field) in [
          (row.rs1Kind, insn.rs1), (row.rs2Kind, insn.rs2), (row.rs3Kind, insn.rs3),
        ] {
          if kind == .x { named.insert(Int(field)) }
          if kind == .f { named.insert(32 + Int(field)) }
        }
      }
      pc += bits & 3 == 3 ? 4 : 2
    }
    let operands = named.sorted().filter { $0 > 0 }.map { "\(Records.name($0))=\(hex(before[$0]))" }
    lines.append("  before: fcsr=\(hex(before[0])) " + operands.joined(separator: " "))
    guard index < ours.count else {
      lines.append("  here: no further checkpoint")
      return lines.joined(separator: "\n")
    }
    let our = ours.registers(index)
    let their = theirs.registers(index)
    for slot in 0..<64 where our[slot] != their[slot] {
      lines.append(
        "  \(Records.name(slot)): here \(hex(our[slot])), qemu \(hex(their[slot])), "
          + "before \(hex(before[slot]))")
    }
    if let our = ours.scratch(index), let their = theirs.scratch(index) {
      for at in 0..<our.count where our[at] != their[at] {
        lines.append(
          "  memory at \(hex(Layout.scratch + UInt64(at))): here \(hex(UInt64(our[at]))), "
            + "qemu \(hex(UInt64(their[at])))")
        if lines.count > 30 { break }
      }
    }
    return lines.joined(separator: "\n")
  }
}

/// The output of a program, taken apart.
struct Records {
  private let bytes: [UInt8]
  private let memory: Bool
  let count: Int
  /// Checkpoints reached, of which there may be no records.
  let reached: Int

  /// - Parameters:
  ///   - bytes: what the program wrote.
  ///   - memory: every checkpoint wrote the scratch buffer.
  ///   - complete: the program reached its end.
  init(_ bytes: [UInt8], memory: Bool, complete: Bool) {
    self.bytes = bytes
    self.memory = memory
    let scratch = Layout.scratchBytes
    let record = Layout.recordBytes
    if !complete {
      // Scratch buffers only: the records are written last.
      count = 0
    } else if memory {
      count = max(0, bytes.count - scratch) / (scratch + record)
    } else {
      count = max(0, bytes.count - scratch) / record
    }
    reached = complete ? count : memory ? bytes.count / scratch : 0
  }

  static func name(_ slot: Int) -> String {
    switch slot {
    case 0: "fcsr"
    case 1..<32: Registers.xName(UInt8(slot))
    default: Registers.fName(UInt8(slot - 32))
    }
  }

  private var recordsAt: Int { memory ? count * Layout.scratchBytes : 0 }

  func registers(_ index: Int) -> [UInt64] {
    let at = recordsAt + index * Layout.recordBytes
    return (0..<64).map { slot in
      (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[at + slot * 8 + $1]) << UInt64($1 * 8) }
    }
  }

  func scratch(_ index: Int) -> ArraySlice<UInt8>? {
    guard memory, index < count else { return nil }
    return ArraySlice(Array(bytes[index * Layout.scratchBytes..<(index + 1) * Layout.scratchBytes]))
  }

  /// The address behind the call of the checkpoint.
  func link(_ program: RandomProgram, _ index: Int) -> UInt64? {
    guard index < count else { return nil }
    return registers(index)[program.link]
  }

  func firstDifference(_ other: Records) -> Int? {
    for index in 0..<min(count, other.count) {
      if registers(index) != other.registers(index) { return index }
      if memory, scratch(index) != other.scratch(index) { return index }
    }
    return nil
  }
}
