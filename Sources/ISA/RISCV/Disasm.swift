/// `Insn` to text, as GNU objdump prints it: aliases, ABI names, mnemonic TAB operands.
///
/// - SeeAlso: RISC-V Assembly Programmer's Manual, "A listing of standard RISC-V
///   pseudoinstructions".
public enum Disassembler {
  /// The text of an instruction at pc.
  ///
  /// A branch's target is `0x1234`, or `1234 <name>` where `symbol` has a name for it.
  public static func text(
    _ insn: Insn, pc: UInt64, symbol: ((UInt64) -> String?)? = nil
  ) -> String {
    let line = Line(insn: insn, pc: pc, symbol: symbol)
    let (mnemonic, operands) = line.alias ?? line.plain
    return operands.isEmpty ? mnemonic : mnemonic + "\t" + operands.joined(separator: ",")
  }

  /// Of each operation, the row of its 4-byte form.
  fileprivate static let wideRows: [Row] = Op.allCases.compactMap { op in
    Encodings.allRows.first { $0.op == op && $0.length == 4 }
  }
}

private struct Line {
  typealias Text = (mnemonic: String, operands: [String])

  let insn: Insn
  let pc: UInt64
  let symbol: ((UInt64) -> String?)?

  // MARK: Operands

  var rd: String { Registers.xName(insn.rd) }
  var rs1: String { Registers.xName(insn.rs1) }
  var rs2: String { Registers.xName(insn.rs2) }
  var fd: String { Registers.fName(insn.rd) }
  var fs1: String { Registers.fName(insn.rs1) }
  var imm: String { String(insn.imm) }
  var address: String { "\(imm)(\(rs1))" }
  var csr: String { Disassembler.csrName(insn.imm) ?? hex(insn.imm) }

  var target: String {
    let address = pc &+ UInt64(bitPattern: insn.imm)
    let digits = String(address, radix: 16)
    return symbol?(address).map { "\(digits) <\($0)>" } ?? "0x" + digits
  }

  var compressed: Bool { insn.length == 2 }

  func hex(_ value: Int64) -> String {
    "0x" + String(UInt64(bitPattern: value), radix: 16)
  }

  func register(_ number: UInt8, _ kind: RegisterKind) -> String? {
    switch kind {
    case .none: nil
    case .x: Registers.xName(number)
    case .f: Registers.fName(number)
    }
  }

  // MARK: Without an alias

  var plain: Text {
    let row = Disassembler.wideRows[Int(insn.op.rawValue)]
    let rd = register(insn.rd, row.rdKind)
    let rs1 = register(insn.rs1, row.rs1Kind)
    let rs2 = register(insn.rs2, row.rs2Kind)
    let rs3 = register(insn.rs3, row.rs3Kind)
    var mnemonic = row.mnemonic
    let operands: [String?]
    switch row.format {
    case .i where row.traits.contains(.load): operands = [rd, address]
    case .i: operands = [rd, rs1, imm]
    case .s: operands = [rs2, address]
    case .b: operands = [rs1, rs2, target]
    case .u: operands = [rd, hex((insn.imm &>> 12) & 0xfffff)]
    case .j: operands = [rd, target]
    case .shamt5, .shamt6: operands = [rd, rs1, hex(insn.imm)]
    case .csr: operands = [rd, csr, rs1]
    case .csri: operands = [rd, csr, String(insn.rs1)]
    case .amo:
      mnemonic += ["", ".rl", ".aq", ".aqrl"][Int(insn.rm & 3)]
      operands = [rd, rs2, "(\(self.rs1))"]
    case .fence: operands = [accesses(insn.imm &>> 4), accesses(insn.imm)]
    case .fixed: operands = []
    default: operands = [rd, rs1, rs2, rs3, row.layout.rm.mask == 7 ? rounding : nil]
    }
    return (mnemonic, operands.compactMap { $0 })
  }

  /// The rounding mode, unless it is what an assembler puts there.
  var rounding: String? {
    // Exact conversions do not round, and have 0.
    let exact: Bool
    switch insn.op {
    case .fcvt_d_s, .fcvt_d_w, .fcvt_d_wu: exact = true
    default: exact = false
    }
    guard insn.rm != (exact ? 0 : 7) else { return nil }
    return ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"][Int(insn.rm & 7)]
  }

  func accesses(_ bits: Int64) -> String {
    var text = ""
    for (bit, letter) in [(8, "i"), (4, "o"), (2, "r"), (1, "w")] where bits & Int64(bit) != 0 {
      text += letter
    }
    return text.isEmpty ? "unknown" : text
  }

  // MARK: Aliases

  /// The text if objdump has a special name for these operands.
  var alias: Text? {
    switch insn.op {
    case .addi, .addiw, .xori, .andi, .sltiu: immediateAlias
    case .add, .sub, .subw, .slt, .sltu, .add_uw: registerAlias
    case .jal, .jalr: jumpAlias
    case .beq, .bne, .blt, .bge: branchAlias
    case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: csrAlias
    case .fsgnj_s, .fsgnjn_s, .fsgnjx_s, .fsgnj_d, .fsgnjn_d, .fsgnjx_d: signAlias
    case .fence: fenceAlias
    case .fence_i: ("fence.i", [])
    case .sfence_vma: sfenceAlias
    case .slli, .srli, .srai: shiftAlias
    case .lui where compressed && insn.rd == 0: ("c.lui", plain.operands)
    default: nil
    }
  }

  private var immediateAlias: Text? {
    switch (insn.op, insn.imm) {
    // HINTs keep their compressed names.
    case (.addi, _) where compressed && insn.rd == 0 && insn.rm == 1: ("c.li", [rd, imm])
    case (.addi, 0) where insn.rd == 0 && insn.rs1 == 0: ("nop", [])
    case (.addi, _) where compressed && insn.rd == 0: ("c.nop", [imm])
    case (.addi, 0) where insn.rs1 != 0 && !compressed: ("mv", [rd, rs1])
    case (.addi, _) where insn.rs1 == 0: ("li", [rd, imm])
    case (.addiw, 0): ("sext.w", [rd, rs1])
    case (.xori, -1): ("not", [rd, rs1])
    case (.andi, 255): ("zext.b", [rd, rs1])
    case (.sltiu, 1): ("seqz", [rd, rs1])
    default: nil
    }
  }

  private var registerAlias: Text? {
    switch insn.op {
    case .add where compressed && insn.rd == 0: (insn.rm == 1 ? "c.mv" : "c.add", [rd, rs2])
    case .add where compressed && insn.rs1 == 0: ("mv", [rd, rs2])
    case .add_uw where insn.rs2 == 0: ("zext.w", [rd, rs1])
    case .sub where insn.rs1 == 0: ("neg", [rd, rs2])
    case .subw where insn.rs1 == 0: ("negw", [rd, rs2])
    case .slt where insn.rs2 == 0: ("sltz", [rd, rs1])
    case .slt where insn.rs1 == 0: ("sgtz", [rd, rs2])
    case .sltu where insn.rs1 == 0: ("snez", [rd, rs2])
    default: nil
    }
  }

  private var jumpAlias: Text? {
    if insn.op == .jal {
      return switch insn.rd {
      case 0: ("j", [target])
      case 1: ("jal", [target])
      default: nil
      }
    }
    let operand = insn.imm == 0 ? rs1 : address
    return switch insn.rd {
    case 0 where insn.rs1 == 1 && insn.imm == 0: ("ret", [])
    case 0: ("jr", [operand])
    case 1: ("jalr", [operand])
    default: ("jalr", [rd, operand])
    }
  }

  private var branchAlias: Text? {
    switch insn.op {
    case .beq where insn.rs2 == 0: ("beqz", [rs1, target])
    case .bne where insn.rs2 == 0: ("bnez", [rs1, target])
    case .bge where insn.rs1 == 0: ("blez", [rs2, target])
    case .bge where insn.rs2 == 0: ("bgez", [rs1, target])
    case .blt where insn.rs2 == 0: ("bltz", [rs1, target])
    case .blt where insn.rs1 == 0: ("bgtz", [rs2, target])
    default: nil
    }
  }

  private var csrAlias: Text? {
    let special: [Int64: String] = [1: "flags", 2: "rm", 3: "csr"]
    switch insn.op {
    case .csrrs where insn.rs1 == 0:
      if let name = special[insn.imm] { return ("fr" + name, [rd]) }
      let counters: [Int64: String] = [
        0xc00: "rdcycle", 0xc01: "rdtime", 0xc02: "rdinstret",
      ]
      if let name = counters[insn.imm] { return (name, [rd]) }
      return ("csrr", [rd, csr])
    case .csrrw where insn.imm == 0xc00 && insn.rd == 0 && insn.rs1 == 0:
      return ("unimp", [])
    case .csrrw, .csrrwi:
      let suffix = insn.op == .csrrwi ? "i" : ""
      let operand = insn.op == .csrrwi ? String(insn.rs1) : rs1
      if let name = special[insn.imm], name != "csr" || suffix.isEmpty {
        let short = insn.rd == 0 && insn.op == .csrrw
        return ("fs" + name + suffix, short ? [operand] : [rd, operand])
      }
      return insn.rd == 0 ? ("csrw" + suffix, [csr, operand]) : nil
    case .csrrs where insn.rd == 0: return ("csrs", [csr, rs1])
    case .csrrc where insn.rd == 0: return ("csrc", [csr, rs1])
    case .csrrsi where insn.rd == 0: return ("csrsi", [csr, String(insn.rs1)])
    case .csrrci where insn.rd == 0: return ("csrci", [csr, String(insn.rs1)])
    default: return nil
    }
  }

  private var signAlias: Text? {
    guard insn.rs1 == insn.rs2 else { return nil }
    return switch insn.op {
    case .fsgnj_s: ("fmv.s", [fd, fs1])
    case .fsgnjn_s: ("fneg.s", [fd, fs1])
    case .fsgnjx_s: ("fabs.s", [fd, fs1])
    case .fsgnj_d: ("fmv.d", [fd, fs1])
    case .fsgnjn_d: ("fneg.d", [fd, fs1])
    default: ("fabs.d", [fd, fs1])
    }
  }

  private var fenceAlias: Text? {
    guard insn.rd == 0, insn.rs1 == 0 else { return nil }
    return switch insn.imm {
    case 0x0ff: ("fence", [])
    case 0x010: ("pause", [])
    case 0x833: ("fence.tso", [])
    default: nil
    }
  }

  private var sfenceAlias: Text? {
    switch (insn.rs1, insn.rs2) {
    case (0, 0): ("sfence.vma", [])
    case (_, 0): ("sfence.vma", [rs1])
    default: nil
    }
  }

  private var shiftAlias: Text? {
    guard compressed else { return nil }
    if insn.imm == 0 { return ("c.\(insn.op)64", [rd]) }
    return insn.rd == 0 ? ("c.\(insn.op)", [rd, hex(insn.imm)]) : nil
  }
}
