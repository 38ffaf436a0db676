import Engine

/// What instruction traces must know of RISC-V.
public final class RISCVTraceISA: TraceISA {
  /// Facts of RV64GC.
  public init() {}

  /// `riscv64`.
  public let name = "riscv64"
  /// x1 to x31, f0 to f31, then what of the system state an instruction or a trap changes.
  public let registers: [StateSlot] =
    (1..<32).map { StateSlot(Registers.xNames[$0], slot: $0) }
    + (0..<32).map { StateSlot(Registers.fNames[$0], slot: Slot.fp + $0) }
    + [
      ("fflags", SystemSlot.fflags), ("frm", SystemSlot.frm), ("mstatus", SystemSlot.mstatus),
      ("medeleg", SystemSlot.medeleg), ("mideleg", SystemSlot.mideleg), ("mie", SystemSlot.mie),
      ("mip", SystemSlot.mip), ("mtvec", SystemSlot.mtvec), ("mscratch", SystemSlot.mscratch),
      ("mepc", SystemSlot.mepc), ("mcause", SystemSlot.mcause), ("mtval", SystemSlot.mtval),
      ("stvec", SystemSlot.stvec), ("sscratch", SystemSlot.sscratch), ("sepc", SystemSlot.sepc),
      ("scause", SystemSlot.scause), ("stval", SystemSlot.stval), ("satp", SystemSlot.satp),
    ].map { StateSlot($0.0, slot: $0.1) }

  /// U, S or M.
  public func mode(_ hart: Hart) -> (letter: Character, number: Int) {
    switch hart.x[SystemSlot.privilege] {
    case 0: ("U", 0)
    case 1: ("S", 1)
    default: ("M", 3)
    }
  }

  /// User mode's.
  public var userModes: UInt64 { RV64.userModes }
  /// x2.
  public var stackPointer: Int { 2 }
  /// Four.
  public var maxInsnLength: Int { 4 }

  /// Two bytes or four, as the low bits of the first say.
  public func insnBytes(at pc: UInt64, _ hart: Hart) -> [UInt8] {
    let low = hart.insnHalf(pc)
    let halves = low & 3 == 3 ? [low, hart.insnHalf(pc &+ 2)] : [low]
    return halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
  }

  /// `ecall`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Environment Call and Breakpoints'.
  public func isSystemCall(_ bytes: [UInt8]) -> Bool { bytes == [0x73, 0, 0, 0] }

  /// The destination register.
  public func written(_ bytes: [UInt8], code: CodeKind) -> [Int] {
    let bits = Self.bits(bytes)
    guard let insn = Decoder.decode(bits), let row = Encodings.row(of: bits) else { return [] }
    switch Self.destination(row) {
    case .x: return insn.rd == 0 ? [] : [Int(insn.rd)]
    case .f: return [Slot.fp + Int(insn.rd)]
    case .none: return []
    }
  }

  /// The source registers.
  public func read(_ bytes: [UInt8]) -> [Int] {
    let bits = Self.bits(bytes)
    guard let insn = Decoder.decode(bits), let row = Self.wideRows[insn.op] else { return [] }
    var slots: [Int] = []
    for (kind, number) in [
      (row.rs1Kind, insn.rs1), (row.rs2Kind, insn.rs2), (row.rs3Kind, insn.rs3),
    ] {
      switch kind {
      case .x where number != 0: slots.append(Int(number))
      case .f: slots.append(Slot.fp + Int(number))
      default: break
      }
    }
    return slots
  }

  /// The file of what an instruction writes; compressed rows may imply the register.
  private static func destination(_ row: Row) -> RegisterKind {
    if row.rdKind != .none { return row.rdKind }
    if row.length == 4 || row.traits.contains(.store) { return .none }
    return wideRows[row.op]?.rdKind ?? .none
  }

  /// The four-byte form of each operation.
  private static let wideRows: [Op: Row] = {
    var rows: [Op: Row] = [:]
    for row in Encodings.allRows where row.length == 4 { rows[row.op] = row }
    return rows
  }()

  private static func bits(_ bytes: [UInt8]) -> UInt32 {
    bytes.prefix(4).enumerated().reduce(UInt32(0)) {
      $0 | UInt32($1.element) << UInt32(8 * $1.offset)
    }
  }

  /// As GNU objdump prints it.
  public func disassemble(_ bytes: [UInt8], at pc: UInt64, code: CodeKind) -> String {
    let bits = Self.bits(bytes)
    if let insn = Decoder.decode(bits) { return Disassembler.text(insn, pc: pc) }
    let digits = String(bits, radix: 16)
    return bytes.count == 2 ? ".2byte\t0x\(digits)" : ".4byte\t0x\(digits)"
  }
}

extension RV64 {
  /// Makes floating-point instructions legal, as an operating system does for its programs.
  public func enableFloatingPoint(_ hart: Hart) {
    hart.x[SystemSlot.mstatus] |= Status.fs
    updateMode(hart)
  }

  /// Puts a hart into a mode: 0 user, 1 supervisor, 3 machine.
  public func setPrivilege(_ privilege: UInt64, _ hart: Hart) {
    hart.x[SystemSlot.privilege] = privilege
    updateMode(hart)
  }
}
