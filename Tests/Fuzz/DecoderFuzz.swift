import RISCV

extension Fuzzer {
  /// What decodes encodes to the same bits; what encodes decodes to the same instruction.
  func decoder(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let words: UInt64 = 2000
    for _ in 0..<words {
      let bits = UInt32(truncatingIfNeeded: random.next()) | (random.once(in: 2) ? 3 : 0)
      if let insn = Decoder.decode(bits) {
        let whole = insn.length == 2 ? bits & 0xffff : bits
        guard Encoder.encode(insn) == whole else {
          throw FuzzFailure(
            description: "0x\(String(whole, radix: 16)) decodes to what encodes differently")
        }
        try text(insn, &random)
      }
      // Any value in any field.
      let insn = Insn(
        op: random.pick(Op.allCases), rd: UInt8(truncatingIfNeeded: random.edge()),
        rs1: UInt8(truncatingIfNeeded: random.edge()),
        rs2: UInt8(truncatingIfNeeded: random.edge()),
        rs3: UInt8(truncatingIfNeeded: random.edge()),
        rm: UInt8(truncatingIfNeeded: random.edge()),
        length: random.pick([2, 4, UInt8(truncatingIfNeeded: random.next())]),
        imm: Int64(bitPattern: random.edge()))
      if let bits = Encoder.encode(insn), Decoder.decode(bits) != insn {
        throw FuzzFailure(description: "0x\(String(bits, radix: 16)) does not decode to \(insn)")
      }
      try text(insn, &random)
    }
    return words
  }

  private func text(_ insn: Insn, _ random: inout FuzzRandom) throws(FuzzFailure) {
    let named = random.once(in: 2)
    let text = Disassembler.text(insn, pc: random.edge()) { named ? "s\($0 & 15)" : nil }
    if text.isEmpty { throw FuzzFailure(description: "\(insn) has no text") }
  }
}
