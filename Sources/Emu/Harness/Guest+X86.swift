import Engine
import X86

/// What scenarios must know of x86-64.
enum X86Facts {
  /// A register by its 64-bit name, or one of a few others.
  static func value(of register: String, _ hart: Hart) -> UInt64? {
    if let slot = Registers.slot(named: register) { return hart.x[slot] }
    switch register {
    case "rip": return hart.pc
    case "rflags": return RFlags.read(hart.x)
    case "fs_base": return hart.x[Registers.fsBase]
    case "gs_base": return hart.x[Registers.gsBase]
    default: return nil
    }
  }

  /// As many bytes as the instruction has; what is no instruction is two bytes.
  static func insnBytes(at pc: UInt64, _ two: (UInt64) -> [UInt8]) -> [UInt8] {
    var bytes = two(pc)
    while bytes.count < 16 {
      switch Decoder.decode(bytes) {
      case .insn(let insn): return Array(bytes.prefix(Int(insn.length)))
      case .truncated: bytes += two(pc &+ UInt64(bytes.count))
      case .undefined, .tooLong: return bytes
      }
    }
    return bytes
  }

  static func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String {
    guard case .insn(let insn) = Decoder.decode(bytes) else { return "(no instruction)" }
    return Disassembler.text(insn, pc: pc)
  }
}
