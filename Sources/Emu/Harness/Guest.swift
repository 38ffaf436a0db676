import Assembly
import Engine
import Machine
import RISCV

/// A guest that scenarios can be run on.
public enum Guest: String, Sendable, CaseIterable, CustomStringConvertible {
  /// RV64GC with the guest kernel, or bare.
  case riscv64

  /// Every guest: what a test is parameterised over.
  public static var all: [Guest] { allCases }

  /// `riscv64`.
  public var description: String { rawValue }

  /// Assembles a text for this guest.
  ///
  /// - Parameters:
  ///   - text: statements, as GNU as has them.
  ///   - origin: where the first section begins.
  /// - Returns: bytes at addresses, and names.
  /// - Throws: the first thing that is wrong, with its line and column.
  public func assemble(
    _ text: String, origin: UInt64 = 0x10000
  ) throws(AssemblyError) -> AssembledImage {
    switch self {
    case .riscv64: try RISCVAssembler.assemble(text, origin: origin)
    }
  }

  /// The instruction set of its machines.
  var architecture: ProgramArchitecture {
    switch self {
    case .riscv64: .riscv64
    }
  }

  /// What probes, traces and messages must know of its instructions.
  func makeProbeISA() -> any ProbeISA {
    switch self {
    case .riscv64: RISCVProbeISA()
    }
  }

  /// The register that is always zero, where there is one.
  var zeroRegister: String? {
    switch self {
    case .riscv64: "zero"
    }
  }

  /// The name under which a register is known, whatever other names it has.
  func canonical(_ name: String) -> String {
    switch self {
    case .riscv64:
      if let number = Registers.x(named: name) { return Registers.xName(number) }
      return Registers.f(named: name).map(Registers.fName) ?? name
    }
  }

  /// The MMU indices under which programs run, for `Hart.observe`.
  var userModes: UInt64 {
    switch self {
    case .riscv64: RV64.userModes
    }
  }
}
