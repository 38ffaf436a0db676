import GuestKernel

/// The one door by which everything enters that the guest does not determine itself.
///
/// A machine asks; ``LiveChooser`` answers from the world, ``Recorder`` wraps another chooser and
/// writes its answers down, ``Replay`` gives answers that were written down.
public protocol Chooser: HostServices {
  /// Told which machine asks, before its first question.
  func attach(_ machine: any ChoosingMachine)
  /// Told that the machine is about to go: a board that is reset is made anew.
  func detach()
  /// Which hart runs next, for how many instructions.
  func nextSlice(_ question: SliceQuestion) -> Slice
  /// Waits until the console can be read, or has ended.
  ///
  /// - Returns: `false` where nothing will ever come, and where a signal ended the wait.
  func waitForInput() -> Bool
  /// Whether the user wants the run to end here.
  func isInterrupted() -> Bool
  /// All bytes of a host file that the run is made of: the program, an image.
  func contents(of path: String) throws(HostFileError) -> [UInt8]
  /// Whether a standard stream (0, 1, 2) is a terminal.
  func isTerminal(_ stream: Int) -> Bool
  /// What random bytes follow from, where a seed is all that there is to be written down.
  var randomSeed: UInt64? { get }

  /// Bytes of the block device `drive`.
  func driveSize(_ drive: Int) -> UInt64
  /// Bytes from `offset` on; `nil` on an error of the host.
  func driveRead(_ drive: Int, offset: UInt64, count: Int) -> [UInt8]?
  /// Stores bytes; `false` on an error of the host.
  func driveWrite(_ drive: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool
  /// Makes what was written durable; `false` on an error of the host.
  func driveFlush(_ drive: Int) -> Bool
}

/// A machine as its chooser knows it: where it is.
public protocol ChoosingMachine: AnyObject {
  /// Instructions begun by all harts.
  var count: UInt64 { get }
  /// Instructions and skipped idle time: nanoseconds of guest time.
  var time: UInt64 { get }
  /// Where the hart is that runs, or ran last.
  var place: UInt64 { get }
  /// Ends the present slice behind the instruction being executed.
  func stopSoon()
}

/// A block device whose sectors are asked for through the door.
public final class ChosenDrive: BlockBackend {
  private let chooser: any Chooser
  private let index: Int
  /// Bytes.
  public let size: UInt64
  /// Writes fail.
  public let isReadOnly: Bool

  /// The device number `index` of `chooser`.
  public init(_ chooser: any Chooser, _ index: Int, readOnly: Bool) {
    self.chooser = chooser
    self.index = index
    size = chooser.driveSize(index)
    isReadOnly = readOnly
  }

  /// Reads bytes.
  public func read(_ offset: UInt64, into bytes: UnsafeMutableRawBufferPointer) -> Bool {
    guard let got = chooser.driveRead(index, offset: offset, count: bytes.count),
      got.count == bytes.count
    else { return false }
    bytes.copyBytes(from: got)
    return true
  }

  /// Writes bytes.
  public func write(_ offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    chooser.driveWrite(index, offset: offset, bytes)
  }

  /// Makes writes durable.
  public func flush() -> Bool { chooser.driveFlush(index) }
}

/// The answers of the world: of a host, and of a schedule.
public final class LiveChooser: Chooser {
  /// Who answers what a kernel asks.
  public let host: any HostServices
  /// Who decides which hart runs.
  public var schedule: any Schedule
  /// Waits for console input (see ``Chooser/waitForInput()``).
  public var wait: () -> Bool
  /// Whether the user wants the run to end.
  public var interruption: () -> Bool = { false }
  /// The block devices.
  public var drives: [any BlockBackend]
  /// Which standard streams are terminals.
  public var terminals: [Bool]
  /// Reads a file that the run is made of.
  public var reader: (String) throws(HostFileError) -> [UInt8] = {
    (path) throws(HostFileError) -> [UInt8] in try Host.contents(of: path)
  }

  /// A world.
  ///
  /// - Parameters:
  ///   - host: answers what a kernel asks.
  ///   - schedule: decides which hart runs.
  ///   - drives: the block devices.
  ///   - terminals: which of the three standard streams are terminals.
  ///   - wait: waits for console input; without it none ever comes.
  public init(
    _ host: any HostServices, schedule: any Schedule = RoundRobin(),
    drives: [any BlockBackend] = [], terminals: [Bool] = [false, false, false],
    wait: @escaping () -> Bool = { false }
  ) {
    self.host = host
    self.schedule = schedule
    self.drives = drives
    self.terminals = terminals
    self.wait = wait
  }

  /// The user's own host, with Ctrl-C.
  public convenience init(
    _ host: Host, schedule: any Schedule = RoundRobin(), drives: [any BlockBackend] = []
  ) {
    self.init(
      host, schedule: schedule, drives: drives, terminals: (0..<3).map { host.isTerminal($0) },
      wait: { host.waitForInput(milliseconds: -1) })
    interruption = { Interruption.requested }
  }

  /// The world is the same to every machine.
  public func attach(_ machine: any ChoosingMachine) {}
  /// The world is the same to every machine.
  public func detach() {}
  /// The schedule's answer, if it is a possible one.
  public func nextSlice(_ question: SliceQuestion) -> Slice {
    let slice = schedule.next(question)
    guard slice.hart >= 0, slice.hart < 64, question.runnable >> UInt64(slice.hart) & 1 == 1 else {
      return RoundRobin.answer(question)
    }
    return Slice(hart: slice.hart, insns: min(max(slice.insns, 1), max(question.most, 1)))
  }
  /// The schedule's answer.
  public func timeSlice(_ standard: UInt64) -> UInt64 { max(schedule.timeSlice(standard), 1) }
  /// Waits.
  public func waitForInput() -> Bool { wait() }
  /// Asks.
  public func isInterrupted() -> Bool { interruption() }
  /// A file of this host.
  public func contents(of path: String) throws(HostFileError) -> [UInt8] {
    try reader(path)
  }
  /// Whether a stream is a terminal.
  public func isTerminal(_ stream: Int) -> Bool {
    terminals.indices.contains(stream) && terminals[stream]
  }
  /// The host's seed, if it is a ``Host``.
  public var randomSeed: UInt64? { (host as? Host)?.seed }

  /// What the console has.
  public func consoleRead(_ count: Int) -> ConsoleInput { host.consoleRead(count) }
  /// Prints.
  public func consoleWrite(_ bytes: [UInt8], stream: Int) -> Errno? {
    host.consoleWrite(bytes, stream: stream)
  }
  /// The host's random bytes.
  public func randomBytes(_ count: Int) -> [UInt8] { host.randomBytes(count) }
  /// The host's time at the start.
  public var startOfRun: UInt64 { host.startOfRun }
  /// A node of the host.
  public func hostStat(_ path: String) -> HostNode? { host.hostStat(path) }
  /// A directory of the host.
  public func hostList(_ path: String) -> [String]? { host.hostList(path) }
  /// Bytes of a file of the host.
  public func hostRead(_ path: String, offset: UInt64, count: Int) -> [UInt8]? {
    host.hostRead(path, offset: offset, count: count)
  }

  /// The size of a device; zero where there is none.
  public func driveSize(_ drive: Int) -> UInt64 {
    drives.indices.contains(drive) ? drives[drive].size : 0
  }
  /// Sectors of a device.
  public func driveRead(_ drive: Int, offset: UInt64, count: Int) -> [UInt8]? {
    guard drives.indices.contains(drive), count >= 0 else { return nil }
    var isRead = false
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      let whole = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
      isRead = drives[drive].read(offset, into: whole)
      used = isRead ? count : 0
    }
    return isRead ? bytes : nil
  }
  /// Writes sectors of a device.
  public func driveWrite(_ drive: Int, offset: UInt64, _ bytes: UnsafeRawBufferPointer) -> Bool {
    drives.indices.contains(drive) && drives[drive].write(offset, bytes)
  }
  /// Makes a device's writes durable.
  public func driveFlush(_ drive: Int) -> Bool {
    drives.indices.contains(drive) && drives[drive].flush()
  }

  /// What decides what comes next: the schedule's state, then the host's.
  public var archivedState: [UInt8] {
    get { [0, 0, 0, 0, 0, 0, 0, 0].with64(schedule.state) + host.archivedState }
    set {
      schedule.state = newValue.load64(0)
      host.archivedState = Array(newValue.dropFirst(8))
    }
  }
}

extension Array where Element == UInt8 {
  /// The same with its first eight bytes replaced.
  fileprivate func with64(_ value: UInt64) -> [UInt8] {
    var changed = self
    changed.store64(0, value)
    return changed
  }
}
