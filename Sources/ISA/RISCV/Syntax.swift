/// A part of an instruction's text, as disassembler and assembler write and read it.
enum Operand: Sendable, Equatable {
  /// A register; which file it is of the row says.
  case rd, rs1, rs2, rs3
  /// The immediate, signed.
  case imm
  /// The amount of a shift.
  case shamt
  /// The upper 20 bits of the immediate.
  case upper
  /// `imm(rs1)`.
  case address
  /// `(rs1)`.
  case base
  /// Where a branch or jump goes.
  case target
  /// A control and status register.
  case csr
  /// The five bits in place of rs1.
  case uimm
  /// What a fence is between.
  case pred, succ
  /// The rounding mode, left out where it is the usual one.
  case rounding
  /// A register that can't be another.
  case only(UInt8)
}

/// One way to write an operation: its name, its operands, and what other fields are.
struct Syntax: Sendable {
  var name: String
  var op: Op
  var operands: [Operand]
  /// 2 or 4; 0: either, as the instruction is.
  var length: UInt8 = 0
  var rd: UInt8?
  var rs1: UInt8?
  var rs2: UInt8?
  var rm: UInt8?
  var imm: Int64?
  /// rs2 is rs1.
  var sameSources = false
  /// Not for rs1 = x0.
  var needsSource = false

  /// Whether an instruction can be printed in this way.
  func describes(_ insn: Insn) -> Bool {
    guard insn.op == op, length == 0 || length == insn.length else { return false }
    if sameSources, insn.rs1 != insn.rs2 { return false }
    if needsSource, insn.rs1 == 0 { return false }
    return insn.rd == rd ?? insn.rd && insn.rs1 == rs1 ?? insn.rs1 && insn.rs2 == rs2 ?? insn.rs2
      && insn.rm == rm ?? insn.rm && insn.imm == imm ?? insn.imm
  }
}

extension Row {
  /// What its text has behind its name.
  var operands: [Operand] {
    switch format {
    case .i: traits.contains(.load) ? [.rd, .address] : [.rd, .rs1, .imm]
    case .s, .css, .cs: [.rs2, .address]
    case .b: [.rs1, .rs2, .target]
    case .u: [.rd, .upper]
    case .j: [.rd, .target]
    case .shamt5, .shamt6: [.rd, .rs1, .shamt]
    case .csr: [.rd, .csr, .rs1]
    case .csri: [.rd, .csr, .uimm]
    case .amo: rs2Kind == .none ? [.rd, .base] : [.rd, .rs2, .base]
    case .fence: [.pred, .succ]
    case .fixed: []
    case .r, .r4:
      [Operand.rd, .rs1, .rs2, .rs3].filter { kind(of: $0) != .none }
        + (layout.rm.mask == 7 ? [.rounding] : [])
    case .cl: [.rd, .address]
    case .ciw: [.rd, .only(Registers.sp), .imm]
    case .ci: compressedImmediate
    case .cb: traits.contains(.branch) ? [.rs1, .target] : [.rd, op == .andi ? .imm : .shamt]
    case .ca: [.rd, .rs2]
    case .cj: [.target]
    case .cr: op == .ebreak ? [] : op == .jalr ? [.rs1] : [.rd, .rs2]
    }
  }

  private var compressedImmediate: [Operand] {
    if traits.contains(.load) { return [.rd, .address] }
    switch op {
    case .slli: return [.rd, .shamt]
    case .lui: return [.rd, .upper]
    default:
      let isTied = layout.rd.mask == 0
      return isTied && layout.rd.base == 0 && layout.rm.base == 0 ? [.imm] : [.rd, .imm]
    }
  }

  /// The register file of a register operand.
  func kind(of operand: Operand) -> RegisterKind {
    switch operand {
    case .rd: rdKind
    case .rs1: rs1Kind
    case .rs2: rs2Kind
    case .rs3: rs3Kind
    default: .x
    }
  }

  /// The least and the greatest immediate, and what it is a multiple of.
  var immediateRange: (range: ClosedRange<Int64>, step: Int64) {
    let top = layout.slices.map { Int64($0.to) + Int64($0.width) }.max() ?? 0
    let step = Int64(1) << (layout.slices.map { Int64($0.to) }.min() ?? 0)
    let isSigned = layout.signShift != 0
    let limit = Int64(1) << (isSigned ? top - 1 : top)
    return (isSigned ? -limit...(limit - step) : 0...(limit - step), step)
  }
}

extension Op {
  /// The rounding mode that is not written: dynamic, or none where nothing is rounded.
  var usualRounding: UInt8 {
    switch self {
    case .fcvt_d_s, .fcvt_d_w, .fcvt_d_wu: 0
    default: 7
    }
  }
}

/// Names for particular operands, as GNU objdump prints them: the first that fits is taken.
///
/// - SeeAlso: RISC-V Assembly Programmer's Manual, "A listing of standard RISC-V
///   pseudoinstructions".
enum Aliases {
  static let printed: [Syntax] =
    moves + arithmetic + jumps + branches + csrs + signs + fences + shifts

  private static let moves: [Syntax] = [
    // HINTs keep their compressed names.
    Syntax(name: "c.li", op: .addi, operands: [.rd, .imm], length: 2, rd: 0, rm: 1),
    Syntax(name: "nop", op: .addi, operands: [], rd: 0, rs1: 0, imm: 0),
    Syntax(name: "c.nop", op: .addi, operands: [.imm], length: 2, rd: 0),
    Syntax(name: "mv", op: .addi, operands: [.rd, .rs1], length: 4, imm: 0, needsSource: true),
    Syntax(name: "li", op: .addi, operands: [.rd, .imm], rs1: 0),
    Syntax(name: "c.mv", op: .add, operands: [.rd, .rs2], length: 2, rd: 0, rm: 1),
    Syntax(name: "c.add", op: .add, operands: [.rd, .rs2], length: 2, rd: 0),
    Syntax(name: "mv", op: .add, operands: [.rd, .rs2], length: 2, rs1: 0),
    Syntax(name: "c.lui", op: .lui, operands: [.rd, .upper], length: 2, rd: 0),
  ]

  private static let arithmetic: [Syntax] = [
    Syntax(name: "sext.w", op: .addiw, operands: [.rd, .rs1], imm: 0),
    Syntax(name: "not", op: .xori, operands: [.rd, .rs1], imm: -1),
    Syntax(name: "zext.b", op: .andi, operands: [.rd, .rs1], imm: 255),
    Syntax(name: "seqz", op: .sltiu, operands: [.rd, .rs1], imm: 1),
    Syntax(name: "zext.w", op: .add_uw, operands: [.rd, .rs1], rs2: 0),
    Syntax(name: "neg", op: .sub, operands: [.rd, .rs2], rs1: 0),
    Syntax(name: "negw", op: .subw, operands: [.rd, .rs2], rs1: 0),
    Syntax(name: "sltz", op: .slt, operands: [.rd, .rs1], rs2: 0),
    Syntax(name: "sgtz", op: .slt, operands: [.rd, .rs2], rs1: 0),
    Syntax(name: "snez", op: .sltu, operands: [.rd, .rs2], rs1: 0),
  ]

  private static let jumps: [Syntax] = [
    Syntax(name: "j", op: .jal, operands: [.target], rd: 0),
    Syntax(name: "jal", op: .jal, operands: [.target], rd: 1),
    Syntax(name: "ret", op: .jalr, operands: [], rd: 0, rs1: 1, imm: 0),
    Syntax(name: "jr", op: .jalr, operands: [.rs1], rd: 0, imm: 0),
    Syntax(name: "jr", op: .jalr, operands: [.address], rd: 0),
    Syntax(name: "jalr", op: .jalr, operands: [.rs1], rd: 1, imm: 0),
    Syntax(name: "jalr", op: .jalr, operands: [.address], rd: 1),
    Syntax(name: "jalr", op: .jalr, operands: [.rd, .rs1], imm: 0),
    Syntax(name: "jalr", op: .jalr, operands: [.rd, .address]),
  ]

  private static let branches: [Syntax] = [
    Syntax(name: "beqz", op: .beq, operands: [.rs1, .target], rs2: 0),
    Syntax(name: "bnez", op: .bne, operands: [.rs1, .target], rs2: 0),
    Syntax(name: "blez", op: .bge, operands: [.rs2, .target], rs1: 0),
    Syntax(name: "bgez", op: .bge, operands: [.rs1, .target], rs2: 0),
    Syntax(name: "bltz", op: .blt, operands: [.rs1, .target], rs2: 0),
    Syntax(name: "bgtz", op: .blt, operands: [.rs2, .target], rs1: 0),
  ]

  private static let csrs: [Syntax] =
    [("flags", 1), ("rm", 2), ("csr", 3)].flatMap { name, number -> [Syntax] in
      [
        Syntax(name: "fr" + name, op: .csrrs, operands: [.rd], rs1: 0, imm: number),
        Syntax(name: "fs" + name, op: .csrrw, operands: [.rs1], rd: 0, imm: number),
        Syntax(name: "fs" + name, op: .csrrw, operands: [.rd, .rs1], imm: number),
      ]
        + (number == 3
          ? []
          : [Syntax(name: "fs\(name)i", op: .csrrwi, operands: [.rd, .uimm], imm: number)])
    } + [
      Syntax(name: "rdcycle", op: .csrrs, operands: [.rd], rs1: 0, imm: 0xc00),
      Syntax(name: "rdtime", op: .csrrs, operands: [.rd], rs1: 0, imm: 0xc01),
      Syntax(name: "rdinstret", op: .csrrs, operands: [.rd], rs1: 0, imm: 0xc02),
      Syntax(name: "csrr", op: .csrrs, operands: [.rd, .csr], rs1: 0),
      Syntax(name: "unimp", op: .csrrw, operands: [], rd: 0, rs1: 0, imm: 0xc00),
      Syntax(name: "csrw", op: .csrrw, operands: [.csr, .rs1], rd: 0),
      Syntax(name: "csrwi", op: .csrrwi, operands: [.csr, .uimm], rd: 0),
      Syntax(name: "csrs", op: .csrrs, operands: [.csr, .rs1], rd: 0),
      Syntax(name: "csrc", op: .csrrc, operands: [.csr, .rs1], rd: 0),
      Syntax(name: "csrsi", op: .csrrsi, operands: [.csr, .uimm], rd: 0),
      Syntax(name: "csrci", op: .csrrci, operands: [.csr, .uimm], rd: 0),
    ]

  private static let signs: [Syntax] = [
    Syntax(name: "fmv.s", op: .fsgnj_s, operands: [.rd, .rs1], sameSources: true),
    Syntax(name: "fneg.s", op: .fsgnjn_s, operands: [.rd, .rs1], sameSources: true),
    Syntax(name: "fabs.s", op: .fsgnjx_s, operands: [.rd, .rs1], sameSources: true),
    Syntax(name: "fmv.d", op: .fsgnj_d, operands: [.rd, .rs1], sameSources: true),
    Syntax(name: "fneg.d", op: .fsgnjn_d, operands: [.rd, .rs1], sameSources: true),
    Syntax(name: "fabs.d", op: .fsgnjx_d, operands: [.rd, .rs1], sameSources: true),
  ]

  private static let fences: [Syntax] = [
    Syntax(name: "fence", op: .fence, operands: [], rd: 0, rs1: 0, imm: 0x0ff),
    Syntax(name: "pause", op: .fence, operands: [], rd: 0, rs1: 0, imm: 0x010),
    Syntax(name: "fence.tso", op: .fence, operands: [], rd: 0, rs1: 0, imm: 0x833),
    Syntax(name: "fence.i", op: .fence_i, operands: []),
    Syntax(name: "sfence.vma", op: .sfence_vma, operands: [], rs1: 0, rs2: 0),
    Syntax(name: "sfence.vma", op: .sfence_vma, operands: [.rs1], rs2: 0),
  ]

  private static let shifts: [Syntax] = [Op.slli, .srli, .srai].flatMap { op in
    [
      Syntax(name: "c.\(op)64", op: op, operands: [.rd], length: 2, imm: 0),
      Syntax(name: "c.\(op)", op: op, operands: [.rd, .shamt], length: 2, rd: 0),
    ]
  }

  /// What assemblers take besides, and nobody prints.
  static let taken: [Syntax] =
    [
      Syntax(name: "bgt", op: .blt, operands: [.rs2, .rs1, .target]),
      Syntax(name: "ble", op: .bge, operands: [.rs2, .rs1, .target]),
      Syntax(name: "bgtu", op: .bltu, operands: [.rs2, .rs1, .target]),
      Syntax(name: "bleu", op: .bgeu, operands: [.rs2, .rs1, .target]),
      Syntax(name: "sgt", op: .slt, operands: [.rd, .rs2, .rs1]),
      Syntax(name: "sgtu", op: .sltu, operands: [.rd, .rs2, .rs1]),
      Syntax(name: "csrr", op: .csrrs, operands: [.rd, .csr], rs1: 0),
      Syntax(name: "csrw", op: .csrrwi, operands: [.csr, .uimm], rd: 0),
      Syntax(name: "csrs", op: .csrrsi, operands: [.csr, .uimm], rd: 0),
      Syntax(name: "csrc", op: .csrrci, operands: [.csr, .uimm], rd: 0),
      Syntax(name: "fmv.x.s", op: .fmv_x_w, operands: [.rd, .rs1]),
      Syntax(name: "fmv.s.x", op: .fmv_w_x, operands: [.rd, .rs1]),
      Syntax(name: "c.nop", op: .addi, operands: [], length: 2, rd: 0, rs1: 0, imm: 0),
      Syntax(name: "move", op: .addi, operands: [.rd, .rs1], imm: 0),
    ]
    + [
      ("add", Op.addi), ("and", .andi), ("or", .ori), ("xor", .xori), ("slt", .slti),
      ("sltu", .sltiu), ("addw", .addiw),
    ].map { Syntax(name: $0, op: $1, operands: [.rd, .rs1, .imm]) }
    + [
      ("sll", Op.slli), ("srl", .srli), ("sra", .srai), ("sllw", .slliw), ("srlw", .srliw),
      ("sraw", .sraiw), ("ror", .rori), ("rorw", .roriw), ("bclr", .bclri), ("bext", .bexti),
      ("binv", .binvi), ("bset", .bseti),
    ].map { Syntax(name: $0, op: $1, operands: [.rd, .rs1, .shamt]) }
}
