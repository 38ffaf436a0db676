/// Where an instruction comes from: a base, an extension, or the privileged manual.
public enum Extension: String, CaseIterable, Sendable {
  case i = "RV64I", zifencei = "Zifencei", zicsr = "Zicsr"
  case m = "M", a = "A", f = "F", d = "D", c = "C"
  case privileged = "Privileged"
  case zba = "Zba", zbb = "Zbb", zbs = "Zbs", zicond = "Zicond"
}

/// The layout of an instruction, as the manual names it.
///
/// `shamt5` and `shamt6` are I with a shift amount, `csr` and `csri` are I with a CSR number, `amo`
/// is R with aq and rl, `fence` is I with fm, pred and succ, `fixed` has no operand.
public enum Format: String, CaseIterable, Sendable {
  case r, i, s, b, u, j, r4, shamt5, shamt6, csr, csri, amo, fence, fixed
  case cr, ci, css, ciw, cl, cs, ca, cb, cj
}

/// Which register file a register field names; `none` where the row does not have the field.
public enum RegisterKind: Sendable {
  case none, x, f
}

/// What a probe does with the instruction under it.
///
/// Deviation: Linux runs `lr` and `sc` out of line too, and a loop of theirs may then never end
/// (the traps between the two lose the reservation); here they are refused.
///
/// - SeeAlso: Linux, `arch/riscv/kernel/probes/decode-insn.c`, `riscv_probe_decode_insn`.
public enum ProbeClass: String, Sendable {
  /// Run a copy in a slot.
  case outOfLine
  /// Do its work on the saved registers.
  case simulate
  /// No probe may be here.
  case refuse
}

/// What else there is to know about a row without executing it.
public struct Traits: OptionSet, Sendable {
  /// One bit per trait.
  public let rawValue: UInt16

  /// Makes a set from its bits.
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// The result or the target depends on pc.
  public static let pcRelative = Traits(rawValue: 1 << 0)
  /// Always leaves the straight line.
  public static let jump = Traits(rawValue: 1 << 1)
  /// May leave the straight line.
  public static let branch = Traits(rawValue: 1 << 2)
  /// Reads memory.
  public static let load = Traits(rawValue: 1 << 3)
  /// Writes memory.
  public static let store = Traits(rawValue: 1 << 4)
  /// `lr` or `sc`.
  public static let exclusive = Traits(rawValue: 1 << 5)
  /// Of the A extension.
  public static let atomic = Traits(rawValue: 1 << 6)
  /// Needs `mstatus.FS` to be on.
  public static let fp = Traits(rawValue: 1 << 7)
  /// Reads or writes a CSR that it names.
  public static let csr = Traits(rawValue: 1 << 8)
  /// Of the privileged manual: the mode decides whether it is legal.
  public static let privileged = Traits(rawValue: 1 << 9)
  /// Of the SYSTEM opcode, or `c.ebreak`.
  public static let system = Traits(rawValue: 1 << 10)
  /// Of the MISC-MEM opcode, or `sfence.vma`.
  public static let fence = Traits(rawValue: 1 << 11)
}

/// One encoding: what decoder, encoder, disassembler and probes know of it is derived from here.
///
/// The pattern is the line of the manual's listing, most significant bits first, in words:
///
/// - `0` and `1`: fixed bits.
/// - `rd`, `rs1`, `rs2`, `rs3`: a register, 5 bits; `frd` and so on where it is an f register;
///   `rd'`: 3 bits, registers 8 to 15; `rd/rs1`: both; `rd≠2`: without that value.
/// - `imm[4:1|11]`: these bits of the immediate; `uimm[...]` and `shamt[...]`: of an unsigned one;
///   `nzimm`, `nzuimm`: 0 is reserved.
/// - `csr` (12 bits), `uimm` (5 bits, kept in rs1), `fm`, `pred`, `succ` (4 bits each), `rm`, `aq`,
///   `rl`.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, "RV32/64G Instruction Set Listings".
public struct Row: Sendable {
  /// What it does; of a compressed row, what it expands to.
  public let op: Op
  /// The manual's name, `c.` included.
  public let mnemonic: String
  /// The manual's line, in the words above.
  public let pattern: String
  /// The manual's name for the layout.
  public let format: Format
  /// Where it comes from.
  public let ext: Extension
  /// What it touches.
  public let traits: Traits
  /// What a probe does with it.
  public let probe: ProbeClass
  /// Bytes: 2 or 4.
  public let length: UInt8
  /// The bits that are fixed...
  public let mask: UInt32
  /// ...and their values.
  public let match: UInt32
  /// The file of register `rd`.
  public let rdKind: RegisterKind
  /// The file of register `rs1`; `none` where the field is an immediate.
  public let rs1Kind: RegisterKind
  /// The file of register `rs2`.
  public let rs2Kind: RegisterKind
  /// The file of register `rs3`.
  public let rs3Kind: RegisterKind
  let layout: Layout

  /// Whether the bits are this row's; of a compressed row only the low 16 count.
  public func matches(_ bits: UInt32) -> Bool {
    let bits = length == 2 ? bits & 0xffff : bits
    return bits & mask == match
      && !layout.forbidden.contains { bits & $0.mask == $0.match }
  }

  /// A random instruction of this row, all operands equally likely.
  ///
  /// Rounding modes are any of the eight, reserved ones included.
  public func sample(using rng: inout some RandomNumberGenerator) -> Insn {
    layout.extract(sampleBits(using: &rng), op: op, length: length)
  }

  /// The bits of a random instruction of this row.
  public func sampleBits(using rng: inout some RandomNumberGenerator) -> UInt32 {
    let free = ~mask & (length == 2 ? 0xffff : 0xffff_ffff)
    while true {
      let bits = match | (UInt32.random(in: 0...UInt32.max, using: &rng) & free)
      if matches(bits) { return bits }
    }
  }
}

/// Every row there is, in the manual's order.
///
/// Not implemented, and illegal here: Q, Zfh, Zfa, Zfinx, V and all of its companions, Zbc, Zbk*,
/// Zk*, Zabha, Zacas, Zawrs, Zicbom, Zicboz, Zimop and Zicfiss, Zcmop, Zcb, Zcmp, Zcmt, H, Svinval,
/// Smrnmi; of C what only RV32 has (`c.jal`, `c.flw`, `c.fsw`, `c.flwsp`, `c.fswsp`).
///
/// Not implemented, and no-ops here, for they are hints of rows that exist: Zihintpause (`fence`),
/// Zihintntl (`add`, `c.add`), Zicbop (`ori`), Zicfilp (`auipc`).
public enum Encodings {
  /// The rows.
  public static let allRows: [Row] =
    rv32i + rv64i + zifencei + zicsr + m + a + f + d + privileged + zba + zbb + zbs + zicond + c

  /// The row that the bits belong to, if any.
  public static func row(of bits: UInt32) -> Row? {
    Decoder.rowIndex(bits).map { allRows[$0] }
  }

  /// The row that an instruction belongs to, if it is well-formed.
  public static func row(of insn: Insn) -> Row? {
    Encoder.encode(insn).flatMap { row(of: $0) }
  }

  static func group(_ ext: Extension, _ entries: [Entry]) -> [Row] {
    entries.map { Row(ext, $0) }
  }
}

/// A row as its table writes it; see `Row` for the words.
struct Entry {
  let op: Op
  let mnemonic: String
  let pattern: String
  let format: Format
  let traits: Traits
  let probe: ProbeClass
  let implied: String

  /// `implied` sets registers that have no field: `"rs1=2"`.
  init(
    _ op: Op, _ mnemonic: String, _ pattern: String, _ format: Format, _ traits: Traits = [],
    _ probe: ProbeClass = .outOfLine, implied: String = ""
  ) {
    self.op = op
    self.mnemonic = mnemonic
    self.pattern = pattern
    self.format = format
    self.traits = traits
    self.probe = probe
    self.implied = implied
  }
}

extension Row {
  fileprivate init(_ ext: Extension, _ entry: Entry) {
    let pattern = Pattern(entry.pattern, implied: entry.implied)
    op = entry.op
    mnemonic = entry.mnemonic
    self.pattern = entry.pattern
    format = entry.format
    self.ext = ext
    traits = entry.traits
    probe = entry.probe
    length = pattern.width == 16 ? 2 : 4
    mask = pattern.mask
    match = pattern.match
    rdKind = pattern.kinds[0]
    rs1Kind = pattern.kinds[1]
    rs2Kind = pattern.kinds[2]
    rs3Kind = pattern.kinds[3]
    layout = pattern.layout
  }
}
