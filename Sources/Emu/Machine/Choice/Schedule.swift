/// Which harts could run next, and for how long.
public struct SliceQuestion: Sendable, Equatable {
  /// The harts that can run: bit n for hart n.
  ///
  /// Never empty.
  public var runnable: UInt64
  /// The hart that ran last.
  public var last: Int
  /// How many instructions a turn has at most: until the next deadline, and not too many.
  public var most: UInt64

  /// A question of these parts.
  public init(runnable: UInt64, last: Int, most: UInt64) {
    self.runnable = runnable
    self.last = last
    self.most = most
  }

  /// The next hart behind the last one that can run.
  public var nextHart: Int {
    // Bits behind the last hart first, then from the beginning.
    let behind = last >= 63 ? 0 : runnable & (UInt64.max << UInt64(last + 1))
    return (behind == 0 ? runnable : behind).trailingZeroBitCount
  }
}

/// A turn of a hart.
public struct Slice: Sendable, Equatable {
  /// Whose.
  public var hart: Int
  /// Its length in instructions.
  public var insns: UInt64

  /// A turn.
  public init(hart: Int, insns: UInt64) {
    self.hart = hart
    self.insns = insns
  }
}

/// Decides which hart runs next and for how long, and when a task of the guest kernel gives way.
///
/// A value: a copy of it decides the same again.
public protocol Schedule: Sendable {
  /// The next turn: one of ``SliceQuestion/runnable``, 1 to ``SliceQuestion/most`` instructions.
  mutating func next(_ question: SliceQuestion) -> Slice
  /// How many nanoseconds a task may run while others wait, where Linux would give it `standard`.
  mutating func timeSlice(_ standard: UInt64) -> UInt64
  /// What it is, in words that ``Schedules/named(_:)`` understands.
  var name: String { get }
  /// What decides what comes next, if anything but the questions does.
  var state: UInt64 { get set }
}

/// Every hart in turn, each for the whole of its slice.
public struct RoundRobin: Schedule {
  /// In turn.
  public init() {}
  /// The next hart, for as long as may be.
  public mutating func next(_ question: SliceQuestion) -> Slice { Self.answer(question) }
  /// As Linux would.
  public mutating func timeSlice(_ standard: UInt64) -> UInt64 { standard }
  /// `round-robin`.
  public var name: String { "round-robin" }
  /// None.
  public var state: UInt64 {
    get { 0 }
    set {}
  }

  /// What round robin answers to a question: a trace leaves such answers out.
  static func answer(_ question: SliceQuestion) -> Slice {
    Slice(hart: question.nextHart, insns: question.most)
  }
}

/// A hart and a length drawn by lot.
///
/// Lengths are spread over orders of magnitude, so that close preemptions are as likely as distant
/// ones.
public struct RandomSchedule: Schedule {
  private var generator: SplitMix64
  /// What everything follows from.
  public let seed: UInt64

  /// Decisions that follow from `seed`.
  public init(seed: UInt64) {
    self.seed = seed
    // Not the sequence that the guest's random bytes come from.
    generator = SplitMix64(state: seed ^ 0x5eed_5c4e_d01e_0001)
  }

  /// One of the harts, for 1 to `most` instructions.
  public mutating func next(_ question: SliceQuestion) -> Slice {
    var runnable = question.runnable
    for _ in 0..<Int.random(in: 0..<max(runnable.nonzeroBitCount, 1), using: &generator) {
      runnable &= runnable &- 1
    }
    return Slice(hart: runnable.trailingZeroBitCount, insns: length(upTo: question.most))
  }

  /// Between a microsecond and the standard length.
  public mutating func timeSlice(_ standard: UInt64) -> UInt64 { max(length(upTo: standard), 1000) }

  private mutating func length(upTo most: UInt64) -> UInt64 {
    guard most > 1 else { return max(most, 1) }
    let bits = UInt64(64 - most.leadingZeroBitCount)
    let scale = UInt64.random(in: 1...bits, using: &generator)
    let top = scale >= 64 ? most : min(most, 1 << scale)
    return UInt64.random(in: 1...top, using: &generator)
  }

  /// `random:SEED`.
  public var name: String { "random:\(seed)" }
  /// The generator's.
  public var state: UInt64 {
    get { generator.state }
    set { generator.state = newValue }
  }
}

/// The schedules by their names.
public enum Schedules {
  /// The schedule of a name: `round-robin` or `random:SEED`; `nil` for any other.
  public static func named(_ name: String) -> (any Schedule)? {
    if name == "round-robin" { return RoundRobin() }
    guard name.hasPrefix("random:"), let seed = UInt64(name.dropFirst(7)) else { return nil }
    return RandomSchedule(seed: seed)
  }
}
