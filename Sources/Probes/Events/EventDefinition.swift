/// One argument of an event.
public struct EventArgument: Sendable, Equatable {
  /// Its name; `arg1` and so on where the definition gives none.
  public var name: String
  /// The expression as it was written, its type included.
  public var expression: String
  /// The expression, compiled.
  public var program: FetchProgram
  /// The byte of the definition where it begins.
  public var column: Int
}

/// A line of Linux's `kprobe_events` or `uprobe_events`, read.
///
/// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `trace_kprobe_show`;
///   `kernel/trace/trace_uprobe.c`, `trace_uprobe_show`.
public struct EventDefinition: Sendable, Equatable {
  /// Where in a file.
  public enum Target: Sendable, Equatable {
    /// At a byte of it.
    case offset(UInt64)
    /// At a symbol of it, and bytes from there.
    ///
    /// Deviation: Linux wants the offset; perf-probe(1) and bpftrace(8) take symbols.
    case symbol(String, offset: UInt64)
  }

  /// Where the probe goes.
  public enum Place: Sendable, Equatable {
    /// At a symbol of the kernel, or of a module, and bytes from there.
    case symbol(String, offset: UInt64, module: String?)
    /// At an address of the kernel.
    case address(UInt64)
    /// In a program's file.
    case file(path: String, Target)
  }

  /// The definition as it was given.
  public var text: String
  /// Where it goes.
  public var place: Place
  /// The byte of the definition where the place begins; for a file, where the target does.
  public var placeColumn: Int
  /// Whether it is hit when the function returns.
  public var isReturn: Bool
  /// Calls that may be under way at once; `nil`: the kernel's own choice.
  public var maxActive: Int?
  /// The group's name.
  public var group: String
  /// The event's name.
  public var event: String
  /// The byte of a file where a counter of probes is.
  public var referenceCounter: UInt64?
  /// What is fetched at a hit.
  public var arguments: [EventArgument]
  /// At a return: which arguments, from 0, must be kept when the function begins.
  public var entryArguments: [Int]

  /// It is in a program, not in the kernel.
  public var isUser: Bool {
    if case .file = place { return true }
    return false
  }

  /// An error about all of this definition's place.
  public func failure(_ problem: EventProblem, _ detail: String? = nil) -> EventError {
    EventError(
      problem, text, column: placeColumn, subsystem: isUser ? "trace_uprobe" : "trace_kprobe",
      detail: detail)
  }

  /// The probed place as listings show it.
  public var placeText: String {
    func plus(_ offset: UInt64) -> String { offset == 0 ? "" : "+\(offset)" }
    switch place {
    case .symbol(let name, let offset, let module):
      return (module.map { "\($0):" } ?? "") + name + plus(offset)
    case .address(let address): return "0x\(Hex.padded(address))"
    case .file(let path, .offset(let offset)): return "\(path):0x\(Hex.padded(offset))"
    case .file(let path, .symbol(let name, let offset)): return "\(path):\(name)\(plus(offset))"
    }
  }

  /// The definition as `kprobe_events` and `uprobe_events` show it when they are read.
  public var listing: String {
    var line = isReturn ? "r" : "p"
    if isReturn, let maxActive { line += "\(maxActive)" }
    line += ":\(group)/\(event) \(placeText)"
    if let referenceCounter { line += "(0x\(String(referenceCounter, radix: 16)))" }
    for argument in arguments { line += " \(argument.name)=\(argument.expression)" }
    return line
  }
}

/// Numbers in hex.
enum Hex {
  /// Sixteen digits.
  static func padded(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// What the parser asks of the world; where it can't ask it takes a definition's word.
public struct EventNames {
  /// What a name of the kernel leads to.
  public enum Symbol: Sendable, Equatable {
    /// Nothing.
    case unknown
    /// Several functions.
    case ambiguous
    /// An address.
    case address(UInt64)
  }
  /// What a path leads to.
  public enum File: Sendable, Equatable {
    /// Nothing.
    case missing
    /// Something that is no file.
    case notRegular
    /// A file.
    case regular
  }

  /// Whether a register has this name (without `%`).
  public var isRegister: (String) -> Bool
  /// A symbol of the kernel.
  public var symbol: ((String) -> Symbol)?
  /// A path.
  public var file: ((String) -> File)?

  /// Names that are looked up by the given functions.
  public init(
    isRegister: @escaping (String) -> Bool, symbol: ((String) -> Symbol)? = nil,
    file: ((String) -> File)? = nil
  ) {
    self.isRegister = isRegister
    self.symbol = symbol
    self.file = file
  }
}
