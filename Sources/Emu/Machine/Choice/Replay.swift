import Engine
import GuestKernel
import TraceFile

/// Gives a machine the answers that were written down, and notices the first question that was not
/// asked then.
public final class Replay: Chooser {
  /// A machine that does not do what it did.
  public struct Divergence: Sendable, Equatable, CustomStringConvertible {
    /// Instructions begun.
    public var count: UInt64
    /// Where the hart was.
    public var pc: UInt64
    /// What was asked, and what was asked when it was recorded.
    public var what: String
    /// The recording says no more: it was cut off, and this is no fault of the machine's.
    public var isEndOfRecording = false

    /// In one line.
    public var description: String {
      "at instruction \(count), pc 0x\(String(pc, radix: 16)): \(what)"
    }
  }

  private let source: any ChoiceSource
  private let terminals: [Bool]
  private var random: SeededBytes?
  private let output: ([UInt8], Int) -> Void
  private weak var machine: (any ChoosingMachine)?
  private var progress = ChoiceProgress()
  private var isOver = false

  /// What random bytes follow from, where they were not written down.
  public let randomSeed: UInt64?
  /// The first question that was not asked then; the run ends there.
  public private(set) var divergence: Divergence?
  /// Nothing is printed, though the guest believes so: for going to a place again.
  public var isSilent = false
  /// There were more answers, which are lost.
  public var isCutOff = false

  /// A replay of what `source` has.
  ///
  /// - Parameters:
  ///   - source: the answers.
  ///   - terminals: which of the three standard streams were terminals.
  ///   - seed: what random bytes follow from, if they were not written down.
  ///   - output: receives what the guest prints, and on which stream.
  public init(
    _ source: any ChoiceSource, terminals: [Bool] = [false, false, false], seed: UInt64? = nil,
    output: @escaping ([UInt8], Int) -> Void = { _, _ in }
  ) {
    self.source = source
    self.terminals = terminals
    self.output = output
    randomSeed = seed
    random = seed.map(SeededBytes.init(seed:))
  }

  /// From now on `machine` asks.
  public func attach(_ machine: any ChoosingMachine) { self.machine = machine }

  /// The machine goes.
  public func detach() {
    progress.countBefore = count
    machine = nil
  }

  private var count: UInt64 { progress.countBefore &+ (machine?.count ?? 0) }

  /// What was recorded and not asked for, once the run is over.
  public var unasked: ChoiceEntry? { divergence == nil ? source.head : nil }

  // MARK: Taking answers

  private func diverge(_ what: String, isEndOfRecording: Bool = false) {
    guard divergence == nil else { return }
    divergence = Divergence(
      count: count, pc: machine?.place ?? 0, what: what, isEndOfRecording: isEndOfRecording)
    machine?.stopSoon()
  }

  /// The answer to a question that was written down each time.
  private func take<Answer>(
    _ question: @autoclosure () -> String, _ match: (Choice) -> Answer?
  ) -> Answer? {
    guard divergence == nil else { return nil }
    guard let head = source.head else {
      if isCutOff {
        diverge("the recording ends here: it was cut off", isEndOfRecording: true)
      } else {
        diverge("the guest wants \(question()), but the recording has nothing more")
      }
      return nil
    }
    guard head.count == count, let answer = match(head.choice) else {
      diverge(
        "the guest wants \(question()); recorded was \(head.choice.question) at instruction "
          + "\(head.count)")
      return nil
    }
    source.advance()
    return answer
  }

  /// The answer to a question that was written down where it was not a matter of course.
  private func takeUnusual<Answer>(_ match: (Choice) -> Answer?) -> Answer? {
    guard divergence == nil, let head = source.head else { return nil }
    if head.count < count {
      diverge(
        "the guest did not want \(head.choice.question) at instruction \(head.count), as recorded")
      return nil
    }
    guard head.count == count, let answer = match(head.choice) else { return nil }
    source.advance()
    return answer
  }

  /// Round robin's answer, or the one written down.
  public func nextSlice(_ question: SliceQuestion) -> Slice {
    let found: Slice? = takeUnusual {
      if case .slice(progress.usualSlices, let slice) = $0 { slice } else { nil }
    }
    guard let found else {
      progress.usualSlices &+= 1
      return RoundRobin.answer(question)
    }
    progress.usualSlices = 0
    guard found.hart >= 0, found.hart < 64, question.runnable >> UInt64(found.hart) & 1 == 1,
      found.insns > 0, found.insns <= question.most
    else {
      diverge("hart \(found.hart) can't run for \(found.insns) instructions, as recorded")
      return RoundRobin.answer(question)
    }
    return found
  }

  /// The standard, or what was written down.
  public func timeSlice(_ standard: UInt64) -> UInt64 {
    let found: UInt64? = takeUnusual {
      if case .timeSlice(progress.usualTimeSlices, let length) = $0 { length } else { nil }
    }
    guard let found else {
      progress.usualTimeSlices &+= 1
      return standard
    }
    progress.usualTimeSlices = 0
    return max(found, 1)
  }

  /// What came of the wait then.
  public func waitForInput() -> Bool {
    take("to wait for the console") {
      if case .waitForInput(let answer) = $0 { answer } else { nil }
    }
      ?? false
  }

  /// Whether the run ended here then, or ends here because it is another one.
  public func isInterrupted() -> Bool {
    if isOver || divergence != nil { return true }
    guard let head = source.head, case .interrupted(let time) = head.choice, head.count <= count,
      time <= machine?.time ?? 0
    else { return false }
    source.advance()
    isOver = true
    return true
  }

  /// The file as it was.
  public func contents(of path: String) throws(HostFileError) -> [UInt8] {
    let found: Result<[UInt8], HostFileError>? = take("the file \(path)") {
      guard case .contents(path, let bytes, let problem, let missing) = $0 else { return nil }
      if let bytes { return .success(bytes) }
      return .failure(HostFileError(description: problem, missing: missing))
    }
    guard let found else {
      throw HostFileError(description: "\(path): the recording has no such file", missing: false)
    }
    return try found.get()
  }

  /// As it was.
  public func isTerminal(_ stream: Int) -> Bool {
    terminals.indices.contains(stream) && terminals[stream]
  }

  /// What the console had.
  public func consoleRead(_ count: Int) -> ConsoleInput {
    let found: ConsoleInput? = takeUnusual {
      if case .consoleRead(progress.nothingYet, let input) = $0 { input } else { nil }
    }
    guard let found else {
      progress.nothingYet &+= 1
      return .notYet
    }
    progress.nothingYet = 0
    if case .bytes(let bytes) = found, bytes.count > count {
      diverge("the guest wants \(count) bytes of the console; recorded were \(bytes.count)")
      return .end
    }
    return found
  }

  /// What came of the write then, if it was the same.
  public func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    let digest = XXH64.hash(bytes)
    let found: Errno?? = take("to write \(bytes.count) bytes to stream \(stream)") {
      guard case .consoleWrite(stream, bytes.count, digest, let result) = $0 else { return nil }
      return .some(result)
    }
    guard let result = found else { return nil }
    if !isSilent { output(bytes, stream) }
    return result
  }

  /// What the seed gives, or the bytes written down.
  public func randomBytes(_ count: Int) -> [UInt8] {
    if let bytes = random?.next(count) {
      progress.randomBytes &+= UInt64(bytes.count)
      return bytes
    }
    let found: [UInt8]? = take("\(count) random bytes") {
      if case .random(let bytes) = $0, bytes.count == count { bytes } else { nil }
    }
    return found ?? Array(repeating: 0, count: max(count, 0))
  }

  /// As it was.
  public var startOfRun: UInt64 {
    if let start = progress.start { return start }
    let found: UInt64? = take("the time") {
      if case .startOfRun(let time) = $0 { time } else { nil }
    }
    progress.start = found
    return found ?? 0
  }

  /// As it was.
  public func hostStat(_ path: String) -> HostNode? {
    let found: HostNode?? = take("to look at \(path)") {
      guard case .stat(path, let node) = $0 else { return nil }
      return .some(node)
    }
    return found ?? nil
  }

  /// As it was.
  public func hostList(_ path: String) -> [String]? {
    let found: [String]?? = take("the names in \(path)") {
      guard case .list(path, let names) = $0 else { return nil }
      return .some(names)
    }
    return found ?? nil
  }

  /// As it was.
  public func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    let found: [UInt8]?? = take("\(count) bytes of \(path) from \(offset) on") {
      guard case .read(path, offset, count, let bytes) = $0 else { return nil }
      return .some(bytes)
    }
    return found ?? nil
  }

  /// As it was.
  public func driveSize(_ drive: Int) -> UInt64 {
    take("the size of drive \(drive)") {
      if case .driveSize(drive, let size) = $0 { size } else { nil }
    } ?? 0
  }

  /// As they were.
  public func driveRead(_ drive: Int, offset: UInt64, count: Int) -> [UInt8]? {
    let found: [UInt8]?? = take("\(count) bytes of drive \(drive) from \(offset) on") {
      guard case .driveRead(drive, offset, count, let bytes) = $0 else { return nil }
      return .some(bytes)
    }
    return found ?? nil
  }

  /// What came of the write then, if it was the same; nothing is written.
  public func driveWrite(_ drive: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let digest = XXH64.hash(bytes)
    return take("to write \(bytes.count) bytes at \(offset) of drive \(drive)") {
      guard case .driveWrite(drive, offset, bytes.count, digest, let isWritten) = $0 else {
        return nil
      }
      return isWritten
    } ?? false
  }

  /// What came of it then.
  public func driveFlush(_ drive: Int) -> Bool {
    take("to flush drive \(drive)") {
      if case .driveFlush(drive, let isDone) = $0 { isDone } else { nil }
    } ?? false
  }

  /// How far the replay has come.
  public var archivedState: [UInt8] {
    get {
      progress.entries = UInt64(source.position)
      return progress.encoded
    }
    set {
      progress = ChoiceProgress(decoding: newValue)
      source.rewind(to: Int(clamping: progress.entries))
      random?.skip(to: progress.randomBytes, seed: randomSeed ?? 0)
      divergence = nil
      isOver = false
    }
  }
}

extension Choice {
  /// The question, as a line about a divergence names it.
  var question: String {
    switch self {
    case .slice(_, let slice): "a turn of hart \(slice.hart) for \(slice.insns) instructions"
    case .timeSlice(_, let length): "a time slice of \(length) ns"
    case .consoleRead: "the console's input"
    case .consoleWrite(let stream, let count, _, _):
      "to write \(count) bytes to stream \(stream)"
    case .waitForInput: "to wait for the console"
    case .interrupted: "the user's interruption"
    case .random(let bytes): "\(bytes.count) random bytes"
    case .startOfRun: "the time"
    case .stat(let path, _): "to look at \(path)"
    case .list(let path, _): "the names in \(path)"
    case .read(let path, let offset, let count, _): "\(count) bytes of \(path) from \(offset) on"
    case .contents(let path, _, _, _): "the file \(path)"
    case .driveSize(let drive, _): "the size of drive \(drive)"
    case .driveRead(let drive, let offset, let count, _):
      "\(count) bytes of drive \(drive) from \(offset) on"
    case .driveWrite(let drive, let offset, let count, _, _):
      "to write \(count) bytes at \(offset) of drive \(drive)"
    case .driveFlush(let drive, _): "to flush drive \(drive)"
    }
  }
}
