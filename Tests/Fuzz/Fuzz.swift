import Engine
import Machine

/// The parts of the emulator that random input is thrown at.
public enum FuzzPart: String, CaseIterable, Sendable {
  /// ELF files, whole, cut and changed, through everything that reads them.
  case loader
  /// Random words through decoder, disassembler and encoder.
  case decoder
  /// Random user programs and system calls under the guest kernel.
  case user
  /// Random calls of the kernel model, as hostile guest kernel text makes them.
  case gate
  /// Random code in machine and supervisor mode on the bare board.
  case bare
  /// The same run in one go, in slices, and observed.
  case budget
  /// The same on the interpreter and on the JIT, with its fast paths and without.
  case engine
  /// Scenario files and assembly text.
  case scenario
  /// Trace files, and other emulators' logs.
  case trace

  /// What ``Fuzzer/run(_:)`` counts.
  public var unit: String {
    switch self {
    case .loader, .scenario, .trace: "files"
    case .decoder: "words"
    case .gate: "calls"
    case .user, .bare, .budget: "instructions"
    case .engine: "stops"
    }
  }
}

/// What is wrong with a case that did not crash.
public struct FuzzFailure: Error, CustomStringConvertible {
  /// One line.
  public let description: String
}

/// Runs the cases of one part; a case follows from seed and number alone.
public struct Fuzzer {
  let part: FuzzPart
  let seed: UInt64
  /// Real ELF files to change.
  let images: [[UInt8]]

  /// A fuzzer of one part.
  public init(_ part: FuzzPart, seed: UInt64, images: [[UInt8]]) {
    self.part = part
    self.seed = seed
    self.images = images
  }

  /// Runs one case.
  ///
  /// - Returns: how many of the part's units it came to.
  public func run(_ number: UInt64) throws(FuzzFailure) -> UInt64 {
    var random = FuzzRandom(seed: seed, part: part, number: number)
    switch part {
    case .loader: return try loader(&random)
    case .decoder: return try decoder(&random)
    case .user: return try user(&random)
    case .gate: return try gate(&random)
    case .bare: return try bare(&random)
    case .budget: return try budget(&random)
    case .engine: return try engine(&random)
    case .scenario: return try scenario(&random)
    case .trace: return try trace(&random)
    }
  }
}
