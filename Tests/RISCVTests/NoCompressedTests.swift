import Engine
import Testing

@testable import RISCV

/// A hart without compressed instructions: IALIGN is 32.
@Suite struct NoCompressedTests {
  struct Jump: CustomTestStringConvertible, Sendable {
    var insn: Insn
    /// Where it goes; `nil`: to the next instruction.
    var target: UInt64?
    var testDescription: String { "\(insn.op) \(insn.imm)" }
    init(_ insn: Insn, _ target: UInt64?) { (self.insn, self.target) = (insn, target) }
  }

  /// x5 = 5, x6 = -6, x7 = 0x2002, x8 = 0x2001.
  static let jumps: [Jump] = [
    Jump(Insn(op: .jal, rd: 1, imm: 6), 0x1006), Jump(Insn(op: .jal, rd: 0, imm: 8), 0x1008),
    Jump(Insn(op: .jalr, rd: 1, rs1: 7, imm: 0), 0x2002),
    Jump(Insn(op: .jalr, rd: 0, rs1: 7, imm: 2), 0x2004),
    Jump(Insn(op: .jalr, rd: 7, rs1: 7, imm: 0), 0x2002),
    // Bit 0 is cleared first.
    Jump(Insn(op: .jalr, rd: 1, rs1: 8, imm: 0), 0x2000),
    Jump(Insn(op: .beq, rs1: 5, rs2: 5, imm: 10), 0x100a),
    Jump(Insn(op: .beq, rs1: 5, rs2: 6, imm: 10), nil),
    Jump(Insn(op: .bne, rs1: 5, rs2: 6, imm: -2), 0xffe),
    Jump(Insn(op: .bne, rs1: 5, rs2: 5, imm: -2), nil),
    Jump(Insn(op: .blt, rs1: 6, rs2: 5, imm: 2), 0x1002),
    Jump(Insn(op: .blt, rs1: 5, rs2: 6, imm: 2), nil),
    Jump(Insn(op: .bge, rs1: 5, rs2: 6, imm: 2), 0x1002),
    Jump(Insn(op: .bge, rs1: 6, rs2: 5, imm: 2), nil),
    Jump(Insn(op: .bltu, rs1: 5, rs2: 6, imm: 2), 0x1002),
    Jump(Insn(op: .bltu, rs1: 6, rs2: 5, imm: 2), nil),
    Jump(Insn(op: .bgeu, rs1: 6, rs2: 5, imm: 2), 0x1002),
    Jump(Insn(op: .bgeu, rs1: 5, rs2: 6, imm: 2), nil),
  ]

  @Test(arguments: jumps) func aJumpToNoMultipleOfFourTraps(_ row: Jump) throws {
    let rig = try Rig(compressed: false)
    rig["t0"] = 5
    rig["t1"] = UInt64(bitPattern: -6)
    rig["t2"] = 0x2002
    rig["s0"] = 0x2001
    rig["ra"] = 77
    rig.run([row.insn])
    guard let target = row.target, target & 2 != 0 else {
      #expect(rig["pc"] == row.target ?? Rig.code + 4)
      return
    }
    // At the jump, whose link is not written.
    #expect(rig["pc"] == Rig.machineVector)
    #expect(rig["mcause"] == 0 && rig["mtval"] == target && rig["mepc"] == Rig.code)
    #expect(rig["ra"] == 77 && rig["t2"] == 0x2002)
  }

  @Test(arguments: [true, false]) func compressedEncodings(_ compressed: Bool) throws {
    let rig = try Rig(compressed: compressed)
    rig.ram.store(Rig.code, UInt16(0x4295))  // c.li t0, 5
    rig["pc"] = Rig.code
    rig.step()
    if compressed {
      #expect(rig["t0"] == 5 && rig["pc"] == Rig.code + 2)
    } else {
      #expect(rig["mcause"] == 2 && rig["mtval"] == 0x4295 && rig["mepc"] == Rig.code)
    }
  }

  @Test(arguments: [(true, UInt64(0x1006)), (false, 0x1004)])
  func registers(_ compressed: Bool, _ expected: UInt64) throws {
    let rig = try Rig(compressed: compressed)
    rig["t0"] = 0x1007
    rig.run([
      Insn(op: .csrrw, rs1: 5, imm: 0x341), Insn(op: .csrrw, rs1: 5, imm: 0x141),
    ])
    #expect(rig["mepc"] == expected && rig["sepc"] == expected)
    #expect(rig["misa"] >> 2 & 1 == (compressed ? 1 : 0))
  }
}
