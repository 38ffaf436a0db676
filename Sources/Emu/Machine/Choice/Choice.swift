import GuestKernel

/// A question of a machine with its answer.
///
/// What is a matter of course has no entry: round robin's slices, a task's standard time slice, a
/// console that has nothing yet, an interruption that does not come, random bytes that follow from
/// the seed of the run.
public enum Choice: Sendable, Equatable {
  /// A turn of a hart that round robin would not have given, behind `after` that it would.
  case slice(after: UInt64, Slice)
  /// A task's time slice, behind `after` standard ones.
  case timeSlice(after: UInt64, UInt64)
  /// What the console had, behind `after` times that it had nothing.
  case consoleRead(after: UInt64, ConsoleInput)
  /// What came of a write to the console: how many bytes with which digest (XXH64), on which stream.
  case consoleWrite(stream: Int, count: Int, digest: UInt64, Errno?)
  /// Whether the console can be read after a wait for it.
  case waitForInput(Bool)
  /// The user ended the run, at this guest time.
  case interrupted(time: UInt64)
  /// Random bytes.
  case random([UInt8])
  /// Nanoseconds since 1970 at the start of the run.
  case startOfRun(UInt64)
  /// What lies at a path below the root.
  case stat(path: String, HostNode?)
  /// Names in a directory below the root.
  case list(path: String, [String]?)
  /// Bytes of a file below the root.
  case read(path: String, offset: UInt64, count: Int, [UInt8]?)
  /// All bytes of a file that the run is made of, or why it can't be read.
  case contents(path: String, [UInt8]?, problem: String, missing: Bool)
  /// Bytes of a block device.
  case driveSize(Int, UInt64)
  /// Sectors of a block device.
  case driveRead(Int, offset: UInt64, count: Int, [UInt8]?)
  /// What came of a write to a block device: how many bytes with which digest (XXH64).
  case driveWrite(Int, offset: UInt64, count: Int, digest: UInt64, Bool)
  /// What came of making a block device's writes durable.
  case driveFlush(Int, Bool)
}

/// An answer with the place at which it was asked for.
public struct ChoiceEntry: Sendable, Equatable {
  /// Instructions begun by all harts when the question was asked.
  public var count: UInt64
  /// The question and its answer.
  public var choice: Choice

  /// An entry of the two.
  public init(count: UInt64, choice: Choice) {
    self.count = count
    self.choice = choice
  }
}

/// Takes answers in the order in which they were given.
public protocol ChoiceSink: AnyObject {
  /// Takes one.
  func append(_ entry: ChoiceEntry)
}

/// Gives answers in the order in which they were taken.
public protocol ChoiceSource: AnyObject {
  /// The next answer; `nil` where there are no more.
  var head: ChoiceEntry? { get }
  /// Goes on to the one behind.
  func advance()
  /// How many were passed, to go back to (``rewind(to:)``).
  var position: Int { get }
  /// Goes to the answer behind the first `position` ones.
  func rewind(to position: Int)
}

/// Answers in memory.
public final class Journal: ChoiceSink, ChoiceSource {
  /// All of them.
  public private(set) var entries: [ChoiceEntry] = []
  /// How many were passed.
  public private(set) var position = 0

  /// None yet, or those given.
  public init(_ entries: [ChoiceEntry] = []) { self.entries = entries }
  /// Takes one.
  public func append(_ entry: ChoiceEntry) { entries.append(entry) }
  /// The next.
  public var head: ChoiceEntry? { position < entries.count ? entries[position] : nil }
  /// Goes on.
  public func advance() { position = min(position + 1, entries.count) }
  /// Goes back, or forward.
  public func rewind(to position: Int) { self.position = min(max(position, 0), entries.count) }
}
