import Engine
import GuestKernel
import TraceFile

/// Asks another chooser and writes down what it answers.
public final class Recorder: Chooser {
  private let world: any Chooser
  private let sink: any ChoiceSink
  private weak var machine: (any ChoosingMachine)?
  private var progress = ChoiceProgress()
  private var isOver = false

  /// A recorder of what `world` answers.
  public init(_ world: any Chooser, into sink: any ChoiceSink) {
    self.world = world
    self.sink = sink
  }

  private var count: UInt64 { progress.countBefore &+ (machine?.count ?? 0) }

  private func note(_ choice: Choice) {
    progress.entries &+= 1
    sink.append(ChoiceEntry(count: count, choice: choice))
  }

  /// From now on `machine` asks.
  public func attach(_ machine: any ChoosingMachine) {
    self.machine = machine
    world.attach(machine)
  }

  /// The machine goes; another one takes its place.
  public func detach() {
    progress.countBefore = count
    machine = nil
    world.detach()
  }

  /// Asks, and writes down what round robin would not have answered.
  public func nextSlice(_ question: SliceQuestion) -> Slice {
    let slice = world.nextSlice(question)
    if slice == RoundRobin.answer(question) {
      progress.usualSlices &+= 1
    } else {
      note(.slice(after: progress.usualSlices, slice))
      progress.usualSlices = 0
    }
    return slice
  }

  /// Asks, and writes down what is not standard.
  public func timeSlice(_ standard: UInt64) -> UInt64 {
    let length = world.timeSlice(standard)
    if length == standard {
      progress.usualTimeSlices &+= 1
    } else {
      note(.timeSlice(after: progress.usualTimeSlices, length))
      progress.usualTimeSlices = 0
    }
    return length
  }

  /// Waits, and writes down what came of it.
  public func waitForInput() -> Bool {
    let answer = world.waitForInput()
    note(.waitForInput(answer))
    return answer
  }

  /// Asks, and writes down where the run ends.
  public func isInterrupted() -> Bool {
    if isOver { return true }
    guard world.isInterrupted() else { return false }
    isOver = true
    note(.interrupted(time: machine?.time ?? 0))
    return true
  }

  /// Asks, and writes the file down.
  public func contents(of path: String) throws(HostFileError) -> [UInt8] {
    do throws(HostFileError) {
      let bytes = try world.contents(of: path)
      note(.contents(path: path, bytes, problem: "", missing: false))
      return bytes
    } catch {
      note(.contents(path: path, nil, problem: error.description, missing: error.missing))
      throw error
    }
  }

  /// A matter of the run's configuration.
  public func isTerminal(_ stream: Int) -> Bool { world.isTerminal(stream) }
  /// A matter of the run's configuration.
  public var randomSeed: UInt64? { world.randomSeed }

  /// Asks, and writes down what there was.
  public func consoleRead(_ count: Int) -> ConsoleInput {
    let input = world.consoleRead(count)
    if input == .notYet {
      progress.nothingYet &+= 1
    } else {
      note(.consoleRead(after: progress.nothingYet, input))
      progress.nothingYet = 0
    }
    return input
  }

  /// Prints, and writes down what came of it.
  public func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    let result = world.consoleWrite(bytes, stream: stream)
    note(
      .consoleWrite(stream: stream, count: bytes.count, digest: XXH64.hash(bytes), result))
    return result
  }

  /// Asks; what follows from the seed is not written down.
  public func randomBytes(_ count: Int) -> [UInt8] {
    let bytes = world.randomBytes(count)
    if world.randomSeed == nil {
      note(.random(bytes))
    } else {
      progress.randomBytes &+= UInt64(bytes.count)
    }
    return bytes
  }

  /// Asks once.
  public var startOfRun: UInt64 {
    if let start = progress.start { return start }
    let answer = world.startOfRun
    note(.startOfRun(answer))
    progress.start = answer
    return answer
  }

  /// Asks, and writes down what is there.
  public func hostStat(_ path: String) -> HostNode? {
    let node = world.hostStat(path)
    note(.stat(path: path, node))
    return node
  }

  /// Asks, and writes down the names.
  public func hostList(_ path: String) -> [String]? {
    let names = world.hostList(path)
    note(.list(path: path, names))
    return names
  }

  /// Asks, and writes down the bytes.
  public func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    let bytes = world.hostRead(path, offset: offset, count: count)
    note(.read(path: path, offset: offset, count: count, bytes))
    return bytes
  }

  /// Asks, and writes down the size.
  public func driveSize(_ drive: Int) -> UInt64 {
    let size = world.driveSize(drive)
    note(.driveSize(drive, size))
    return size
  }

  /// Asks, and writes down the sectors.
  public func driveRead(_ drive: Int, offset: UInt64, count: Int) -> [UInt8]? {
    let bytes = world.driveRead(drive, offset: offset, count: count)
    note(.driveRead(drive, offset: offset, count: count, bytes))
    return bytes
  }

  /// Writes sectors, and writes down what came of it.
  public func driveWrite(_ drive: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let isWritten = world.driveWrite(drive, offset: offset, bytes)
    note(
      .driveWrite(
        drive, offset: offset, count: bytes.count, digest: XXH64.hash(bytes), isWritten))
    return isWritten
  }

  /// Makes writes durable, and writes down what came of it.
  public func driveFlush(_ drive: Int) -> Bool {
    let isDone = world.driveFlush(drive)
    note(.driveFlush(drive, isDone))
    return isDone
  }

  /// How far the recording has come, and the world's own state.
  public var archivedState: [UInt8] {
    get { progress.encoded + world.archivedState }
    set {
      progress = ChoiceProgress(decoding: newValue)
      world.archivedState = Array(newValue.dropFirst(ChoiceProgress.size))
    }
  }
}
