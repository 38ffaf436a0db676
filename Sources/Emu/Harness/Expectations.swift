/// What must come of a scenario; what is not said may be as it likes.
public struct Expectations: Sendable, Equatable {
  /// How the run must end; by itself: exit status 0.
  public var exit = Ending.status(0)
  /// What is printed on standard output, or on a bare board's console.
  public var output: TextExpectation?
  /// What is printed on standard error.
  public var errors: TextExpectation?
  /// What the guest kernel prints.
  public var log: TextExpectation?
  /// Where the program is killed by a signal: the symbol, or `symbol+0x10`.
  public var faultPlace: String?
  /// Where the program is killed by a signal: the address that it accessed.
  public var faultAddress: UInt64?
  /// How often events are hit, by their names.
  public var hits: [String: Bounds] = [:]
  /// How often events are missed, by their names; an event that is not named must not be missed.
  public var misses: [String: Bounds] = [:]
  /// Hits in the order in which they come; others may come between.
  public var events: [HitExpectation] = []
  /// No hits but those of ``events``.
  public var eventsAreAll = false
  /// Registers at the end.
  public var registers: [String: UInt64] = [:]
  /// Memory at the end.
  public var memory: [MemoryExpectation] = []
  /// Figures of the run (``Outcome/counters``), by their names.
  public var counters: [String: Bounds] = [:]
  /// A run without probes sees and does the same at every instruction (`emu verify`).
  public var isTransparent = false

  /// Exit status 0, and nothing else.
  public init() {}
}

/// How a run ends.
public enum Ending: Sendable, Equatable, CustomStringConvertible {
  /// The program exits with a status; a bare board is ended with one.
  case status(Int32)
  /// A signal kills the program.
  case signal(Int32)
  /// The guest kernel dies; its last words.
  case panic(String)
  /// The limit of instructions is reached.
  case limit
  /// Everything waits and nothing can wake it.
  case stuck
  /// A bare board is reset.
  case reset
  /// The user ended it.
  case interrupted
}

/// A number from..through.
public struct Bounds: Sendable, Equatable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The least.
  public var least: UInt64
  /// The greatest.
  public var most: UInt64

  /// Between two numbers.
  public init(_ least: UInt64, through most: UInt64 = .max) {
    self.least = least
    self.most = most
  }
  /// Just this number.
  public init(integerLiteral value: UInt64) { self.init(value, through: value) }
  /// Whether a number is between them.
  public func contains(_ value: UInt64) -> Bool { value >= least && value <= most }

  /// `3`, `at least 3`, `at most 5` or `3 to 5`.
  public var description: String {
    if least == most { return "\(least)" }
    if most == .max { return "at least \(least)" }
    return least == 0 ? "at most \(most)" : "\(least) to \(most)"
  }
}

/// What a text must be.
public struct TextExpectation: Sendable, Equatable, ExpressibleByStringLiteral {
  /// All of it.
  public var exactly: [UInt8]?
  /// Parts of it, in this order.
  public var contains: [String] = []
  /// What is no part of it.
  public var lacks: [String] = []

  /// Nothing is demanded.
  public init() {}
  /// All of it.
  public init(stringLiteral value: String) { exactly = Array(value.utf8) }
  /// Parts of it, in this order.
  public init(contains parts: String...) { contains = parts }
}

/// One hit that must come.
public struct HitExpectation: Sendable, Equatable {
  /// The event's name.
  public var event: String
  /// What is fetched, as a trace line shows it.
  public var arguments: [String: String]
  /// The task.
  public var pid: Int32?

  /// A hit of an event.
  public init(_ event: String, _ arguments: [String: String] = [:], pid: Int32? = nil) {
    self.event = event
    self.arguments = arguments
    self.pid = pid
  }
}

/// What memory must hold.
public struct MemoryExpectation: Sendable, Equatable {
  /// Where: a symbol with `+N` behind it, or an address.
  public var place: String
  /// What is there.
  public var bytes: [UInt8]

  /// Bytes at a place.
  public init(_ place: String, _ bytes: [UInt8]) {
    self.place = place
    self.bytes = bytes
  }

  /// A number of some bytes at a place, in the guest's byte order.
  public init<T: FixedWidthInteger>(_ place: String, _ value: T) {
    self.init(
      place, (0..<(T.bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) })
  }
}
