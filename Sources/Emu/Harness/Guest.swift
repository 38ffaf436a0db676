import Assembly
import Engine
import Machine
import RISCV
import X86

/// A guest that scenarios can be run on.
public enum Guest: String, Sendable, CaseIterable, CustomStringConvertible {
  /// RV64GC with the guest kernel, or bare.
  case riscv64
  /// x86-64 with the guest kernel; without probes and without a bare board.
  case x86_64

  /// Every guest: what a test is parameterised over.
  public static var all: [Guest] { allCases }

  /// Those that have probes.
  public static var withProbes: [Guest] { allCases.filter(\.hasProbes) }

  /// `riscv64`.
  public var description: String { rawValue }

  /// Assembles a text for this guest.
  ///
  /// - Parameters:
  ///   - text: statements, as GNU as has them; of x86-64 in Intel syntax.
  ///   - origin: where the first section begins.
  /// - Returns: bytes at addresses, and names.
  /// - Throws: the first thing that is wrong, with its line and column.
  public func assemble(
    _ text: String, origin: UInt64 = 0x10000
  ) throws(AssemblyError) -> AssembledImage {
    switch self {
    case .riscv64: try RISCVAssembler.assemble(text, origin: origin)
    case .x86_64: try X86Assembler.assemble(text, origin: origin)
    }
  }

  /// The instruction set of its machines.
  var architecture: ProgramArchitecture {
    switch self {
    case .riscv64: .riscv64
    case .x86_64: .x86_64
    }
  }

  /// Whether probes can be put into it.
  var hasProbes: Bool { self == .riscv64 }

  /// Whether there is a board of it without the guest kernel.
  var hasBareBoard: Bool { self == .riscv64 }

  /// The MMU indices under which programs run, for `Hart.observe`.
  var userModes: UInt64 {
    switch self {
    case .riscv64: RV64.userModes
    case .x86_64: X64.userModes
    }
  }
}

// MARK: Registers

extension Guest {
  /// A register of a hart by any of its names; `pc` too.
  ///
  /// - Returns: its value; `nil` where there is no such register.
  func value(of register: String, _ hart: Hart) -> UInt64? {
    if register == "pc" { return hart.pc }
    switch self {
    case .riscv64:
      if register == "zero" || register == "x0" { return 0 }
      let name: String
      if let number = RISCV.Registers.x(named: register) {
        name = RISCV.Registers.xName(number)
      } else {
        name = RISCV.Registers.f(named: register).map(RISCV.Registers.fName) ?? register
      }
      let isa = RISCVProbeISA()
      let slots = isa.stateSlots(ofKernel: false) + isa.stateSlots(ofKernel: true)
      return slots.first { $0.name == name }.map { hart.x[$0.slot] & $0.mask }
    case .x86_64: return X86Facts.value(of: register, hart)
    }
  }

  // MARK: Instructions

  /// The bytes of the instruction at a pc, where `half` has two bytes of text at an address.
  func insnBytes(at pc: UInt64, _ half: (UInt64) -> UInt16) -> [UInt8] {
    func bytes(_ at: UInt64) -> [UInt8] {
      let word = half(at)
      return [UInt8(truncatingIfNeeded: word), UInt8(truncatingIfNeeded: word >> 8)]
    }
    switch self {
    case .riscv64:
      let first = bytes(pc)
      return first[0] & 3 == 3 ? first + bytes(pc &+ 2) : first
    case .x86_64: return X86Facts.insnBytes(at: pc, bytes)
    }
  }

  /// Whether an instruction is a break.
  func isBreakpoint(_ bytes: [UInt8]) -> Bool {
    switch self {
    case .riscv64: RISCVProbeISA().isBreakpoint(bytes)
    case .x86_64: bytes.first == 0xcc
    }
  }

  /// The text of an instruction.
  func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String {
    switch self {
    case .riscv64: RISCVProbeISA().disassemble(bytes, at: pc)
    case .x86_64: X86Facts.disassemble(bytes, at: pc)
    }
  }
}
