import Assembly
import Engine
import Machine
import RISCV
import X86

/// A guest that scenarios can be run on.
public enum Guest: String, Sendable, CaseIterable, CustomStringConvertible {
  /// RV64GC with the guest kernel, or bare.
  case riscv64
  /// x86-64 with the guest kernel; there is no bare board of it.
  case x86_64

  /// Every guest: what a test is parameterised over.
  public static var all: [Guest] { allCases }

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
    case .x86_64: return Self.x86(register, hart)
    }
  }

  /// A register by its 64-bit name, or one of a few others.
  private static func x86(_ register: String, _ hart: Hart) -> UInt64? {
    if let slot = X86.Registers.slot(named: register) { return hart.x[slot] }
    switch register {
    case "rip": return hart.pc
    case "rflags": return RFlags.read(hart.x)
    case "fs_base": return hart.x[X86.Registers.fsBase]
    case "gs_base": return hart.x[X86.Registers.gsBase]
    default: return nil
    }
  }

  // MARK: Instructions

  /// Whether an instruction is a break.
  func isBreakpoint(_ bytes: [UInt8]) -> Bool {
    switch self {
    case .riscv64: RISCVProbeISA().isBreakpoint(bytes)
    case .x86_64: X86ProbeISA().isBreakpoint(bytes)
    }
  }
}
