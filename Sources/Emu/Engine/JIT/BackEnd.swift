#if canImport(Glibc)
private import Glibc
#endif

/// What runs micro-ops.
public enum BackEnd: String, Sendable, CaseIterable {
  /// The JIT where the host allows it and the instruction set gains by it
  /// (``GuestISA/gainsByCompilation``); the interpreter otherwise.
  case auto
  /// One `switch`, everywhere.
  case interpreter
  /// Host code made of them, where the host allows it; the interpreter otherwise.
  case jit

  /// What a hart is made with unless told otherwise: `EMU_ENGINE`, read once, or ``auto``.
  public static let standard: BackEnd = {
    #if canImport(Glibc)
    if let text = getenv("EMU_ENGINE"), let chosen = BackEnd(rawValue: String(cString: text)) {
      return chosen
    }
    #endif
    return .auto
  }()

  /// The engine itself, for a guest.
  func resolved(for isa: any GuestISA) -> BackEnd {
    guard self != .interpreter, Self.obstacle == nil else { return .interpreter }
    return self == .jit || isa.gainsByCompilation ? .jit : .interpreter
  }

  /// Why this process can't run the JIT; `nil` where it can.
  public static let obstacle: String? = {
    #if arch(x86_64) && os(Linux)
    return CodeCache(bytes: 1 << 16) == nil ? "this host allows no executable memory" : nil
    #else
    return "the JIT makes x86-64 code and this host is another"
    #endif
  }()
}

/// How the JIT works; the default is for use, the others force its rare paths for tests.
public struct JITOptions: Sendable, Hashable {
  /// Host registers that hold slots, of each kind.
  public var registers = 16
  /// Most instructions in a block.
  public var maxInsns = BlockBuilder.maxInsns
  /// Bytes of code after which everything is dropped.
  public var codeBytes = 32 << 20
  /// Runs of a block in the interpreter before it is compiled.
  public var threshold = 8
  /// Accesses look into the TLB in compiled code.
  public var inlineTLB = true
  /// The TLB forgets everything but its last entry.
  public var singleTLBEntry = false
  /// Blocks lead straight to each other.
  public var chains = true
  /// Most blocks of a loop that are compiled as one.
  public var unitBlocks = 16
  /// Floating point is compiled and not called for.
  public var nativeFloat = true

  /// The defaults.
  public init() {}
}
