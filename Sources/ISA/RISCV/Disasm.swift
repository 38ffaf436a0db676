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
    let (mnemonic, operands) = line.text
    return operands.isEmpty ? mnemonic : mnemonic + "\t" + operands.joined(separator: ",")
  }

  /// Of each operation, the row of its 4-byte form.
  static let wideRows: [Row] = Op.allCases.compactMap { op in
    Encodings.allRows.first { $0.op == op && $0.length == 4 }
  }

  /// Of each operation, the special names for some of its operands.
  fileprivate static let aliases: [[Syntax]] = Op.allCases.map { op in
    Aliases.printed.filter { $0.op == op }
  }
}

private struct Line {
  let insn: Insn
  let pc: UInt64
  let symbol: ((UInt64) -> String?)?

  var target: String {
    let address = pc &+ UInt64(bitPattern: insn.imm)
    let digits = String(address, radix: 16)
    return symbol?(address).map { "\(digits) <\($0)>" } ?? "0x" + digits
  }

  func hex(_ value: Int64) -> String {
    "0x" + String(UInt64(bitPattern: value), radix: 16)
  }

  var text: (mnemonic: String, operands: [String]) {
    let row = Disassembler.wideRows[Int(insn.op.rawValue)]
    let alias = Disassembler.aliases[Int(insn.op.rawValue)].first { $0.describes(insn) }
    var mnemonic = alias?.name ?? row.mnemonic
    if row.format == .amo { mnemonic += ["", ".rl", ".aq", ".aqrl"][Int(insn.rm & 3)] }
    return (mnemonic, (alias?.operands ?? row.operands).compactMap { text($0, row) })
  }

  private func text(_ operand: Operand, _ row: Row) -> String? {
    switch operand {
    case .rd: register(insn.rd, row.rdKind)
    case .rs1: register(insn.rs1, row.rs1Kind)
    case .rs2: register(insn.rs2, row.rs2Kind)
    case .rs3: register(insn.rs3, row.rs3Kind)
    case .only(let number): register(number, .x)
    case .imm: String(insn.imm)
    case .shamt: hex(insn.imm)
    case .upper: hex((insn.imm &>> 12) & 0xfffff)
    case .address: "\(insn.imm)(\(Registers.xName(insn.rs1)))"
    case .base: "(\(Registers.xName(insn.rs1)))"
    case .target: target
    case .csr: Disassembler.csrName(insn.imm) ?? hex(insn.imm)
    case .uimm: String(insn.rs1)
    case .pred: Disassembler.accesses(insn.imm &>> 4)
    case .succ: Disassembler.accesses(insn.imm)
    case .rounding:
      insn.rm == insn.op.usualRounding ? nil : Disassembler.roundingModes[Int(insn.rm & 7)]
    }
  }

  private func register(_ number: UInt8, _ kind: RegisterKind) -> String? {
    switch kind {
    case .none: nil
    case .x: Registers.xName(number)
    case .f: Registers.fName(number)
    }
  }
}

extension Disassembler {
  /// The names of rounding modes.
  static let roundingModes = ["rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn"]

  /// What a fence is between: some of input, output, reads and writes.
  static func accesses(_ bits: Int64) -> String {
    var text = ""
    for (bit, letter) in [(8, "i"), (4, "o"), (2, "r"), (1, "w")] where bits & Int64(bit) != 0 {
      text += letter
    }
    return text.isEmpty ? "unknown" : text
  }
}
