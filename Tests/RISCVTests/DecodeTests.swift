import Testing

@testable import RISCV

@Suite struct DecodeTests {
  /// Bits, and what they are by the manual's tables; worked out by hand or taken from an assembler.
  private static let known: [(bits: UInt32, insn: Insn?)] = [
    (0x0000_0000, nil),
    (0xffff_ffff, nil),
    (0x0000_0013, Insn(op: .addi)),
    (0xfff5_0513, Insn(op: .addi, rd: 10, rs1: 10, imm: -1)),
    (0x8000_00b7, Insn(op: .lui, rd: 1, imm: -0x8000_0000)),
    (0x7fff_f517, Insn(op: .auipc, rd: 10, imm: 0x7fff_f000)),
    (0xffdf_f0ef, Insn(op: .jal, rd: 1, imm: -4)),
    (0x0000_8067, Insn(op: .jalr, rs1: 1)),
    (0xfe00_0ee3, Insn(op: .beq, imm: -4)),
    (0x03f5_1513, Insn(op: .slli, rd: 10, rs1: 10, imm: 63)),
    (0x43f5_5513, Insn(op: .srai, rd: 10, rs1: 10, imm: 63)),
    // Shift amounts of 32 and more: bit 25 is reserved in the W forms.
    (0x0205_151b, nil),
    (0xc000_2573, Insn(op: .csrrs, rd: 10, imm: 0xc00)),
    (0x1000_5073, Insn(op: .csrrwi, imm: 0x100)),
    (0x0ff0_000f, Insn(op: .fence, imm: 0x0ff)),
    (0x8330_000f, Insn(op: .fence, imm: 0x833)),
    (0x1000_252f, Insn(op: .lr_w, rd: 10)),
    (0x1010_252f, nil),
    (0x1ea5_a52f, Insn(op: .sc_w, rd: 10, rs1: 11, rs2: 10, rm: 3)),
    (0x02a5_f553, Insn(op: .fadd_d, rd: 10, rs1: 11, rs2: 10, rm: 7)),
    (0x02a5_d553, Insn(op: .fadd_d, rd: 10, rs1: 11, rs2: 10, rm: 5)),
    (0x6205_1513, nil),
    // Quad and half precision.
    (0x06a5_f553, nil), (0x04a5_f553, nil),
    (0x1020_0073, Insn(op: .sret)),
    (0x1050_0073, Insn(op: .wfi)),
    // Only the low half counts.
    (0xdead_8082, Insn(op: .jalr, rs1: 1, length: 2)),
    (0x0001, Insn(op: .addi, length: 2)),
    (0x9002, Insn(op: .ebreak, length: 2)),
    (0x9082, Insn(op: .jalr, rd: 1, rs1: 1, length: 2)),
    (0x8002, nil),
    (0x0004, nil), (0x0040, Insn(op: .addi, rd: 8, rs1: 2, length: 2, imm: 4)),
    (0x2001, nil), (0x2501, Insn(op: .addiw, rd: 10, rs1: 10, length: 2)),
    (0x4002, nil), (0x6002, nil), (0x2002, Insn(op: .fld, rs1: 2, length: 2)),
    (0x6501, nil), (0x6101, nil), (0x757d, Insn(op: .lui, rd: 10, length: 2, imm: -0x1000)),
    (0x7139, Insn(op: .addi, rd: 2, rs1: 2, rm: 1, length: 2, imm: -64)),
    (0x8000, nil), (0x9c41, nil), (0x9c61, nil),
    (0xa001, Insn(op: .jal, length: 2)),
    (0xbffd, Insn(op: .jal, length: 2, imm: -2)),
    // A HINT.
    (0x4005, Insn(op: .addi, rm: 1, length: 2, imm: 1)),
  ]

  @Test(arguments: known.indices)
  func knownBits(index: Int) {
    let (bits, insn) = Self.known[index]
    #expect(Decoder.decode(bits) == insn, "\(String(bits, radix: 16))")
  }

  @Test func anInstructionIsSixteenBytes() {
    #expect(MemoryLayout<Insn>.size == 16)
  }

  @Test func everyHalfwordComesBack() {
    var legal = 0
    for bits in UInt32(0)...0xffff where bits & 3 != 3 {
      guard let insn = Decoder.decode(bits) else { continue }
      legal += 1
      if insn.length != 2 || Encoder.encode(insn) != bits {
        Issue.record("\(String(bits, radix: 16)): \(insn)")
      }
      // What lies above does not matter.
      if Decoder.decode(bits | 0xabcd_0000) != insn {
        Issue.record("\(String(bits, radix: 16)) depends on more than 16 bits")
      }
    }
    // Quadrant by quadrant, counted by hand from the manual's tables.
    let first = (2048 - 8) + 6 * 2048
    let second = 2048 + 31 * 64 + 2048 + 63 + 31 * 63 + (3 * 512 + 6 * 64) + 3 * 2048
    let third = 2 * 2048 + 2 * 31 * 64 + (31 + 32 * 31 + 1 + 31 + 32 * 31) + 3 * 2048
    #expect(legal == first + second + third)
  }

  /// Encoding gives back the bits, and no two instructions share an encoding.
  @Test func randomWordsComeBack() {
    var rng = SplitMix(state: 1)
    var legal = 0
    for _ in 0..<2_000_000 {
      let bits = UInt32(truncatingIfNeeded: rng.next()) | 3
      guard let insn = Decoder.decode(bits) else { continue }
      legal += 1
      if insn.length != 4 || Encoder.encode(insn) != bits {
        Issue.record("\(String(bits, radix: 16)): \(insn)")
      }
    }
    #expect(legal > 100_000)
  }

  /// The index finds what comparing with every row finds.
  @Test func theIndexLosesNothing() {
    var rng = SplitMix(state: 2)
    let rows = Encodings.allRows.filter { $0.length == 4 }
    for row in rows {
      for _ in 0..<8 {
        let bits = row.sampleBits(using: &rng)
        #expect(Encodings.row(of: bits)?.mnemonic == row.mnemonic)
        // One bit from an instruction.
        let near = (bits ^ (1 &<< UInt32.random(in: 2..<32, using: &rng)))
        let expected = rows.first { $0.matches(near) }?.mnemonic
        #expect(Encodings.row(of: near)?.mnemonic == expected)
      }
    }
  }

  @Test(arguments: Encodings.allRows.indices)
  func samplesAreWellFormed(index: Int) {
    let row = Encodings.allRows[index]
    var rng = SplitMix(state: UInt64(index))
    for _ in 0..<500 {
      let insn = row.sample(using: &rng)
      guard let bits = Encoder.encode(insn) else {
        Issue.record("\(row.mnemonic): \(insn)")
        return
      }
      if !row.matches(bits) || Decoder.decode(bits) != insn {
        Issue.record("\(row.mnemonic): \(insn)")
      }
    }
  }

  /// Anything at all may be asked of the encoder; what it accepts it can read.
  @Test func nonsenseIsNotEncoded() {
    var rng = SplitMix(state: 3)
    for _ in 0..<200_000 {
      let random = rng.next()
      let insn = Insn(
        op: Op.allCases[Int(random % UInt64(Op.allCases.count))],
        rd: UInt8(truncatingIfNeeded: random &>> 8) & 0x3f,
        rs1: UInt8(truncatingIfNeeded: random &>> 16) & 0x3f,
        rs2: UInt8(truncatingIfNeeded: random &>> 24) & 1,
        rm: UInt8(truncatingIfNeeded: random &>> 32) & 1,
        length: UInt8(truncatingIfNeeded: random &>> 40) & 7,
        imm: Int64(bitPattern: rng.next()) &>> Int64(random &>> 48 & 63))
      if let bits = Encoder.encode(insn), Decoder.decode(bits) != insn {
        Issue.record("\(insn)")
      }
    }
    #expect(Encoder.encode(Insn(op: .addi, rd: 32)) == nil)
    #expect(Encoder.encode(Insn(op: .addi, imm: 2048)) == nil)
    #expect(Encoder.encode(Insn(op: .addi, imm: .min)) == nil)
    #expect(Encoder.encode(Insn(op: .lui, imm: 1)) == nil)
    #expect(Encoder.encode(Insn(op: .beq, imm: 1)) == nil)
    #expect(Encoder.encode(Insn(op: .add, length: 3)) == nil)
    #expect(Encoder.encode(Insn(op: .add, imm: 1)) == nil)
  }
}
