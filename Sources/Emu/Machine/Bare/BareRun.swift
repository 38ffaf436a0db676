import Engine
import GuestKernel
import Image

/// `emu run --bare`: from a file to a report.
public enum BareRun {
  /// What the command line says.
  public struct Options {
    /// Bytes of RAM.
    public var memory: UInt64 = 128 << 20
    /// The number of harts.
    public var harts = 1
    /// How stale caches may be.
    public var cacheModel = CacheModel.coherent
    /// What runs micro-ops.
    public var engine = BackEnd.standard
    /// Most instructions, of all harts together.
    public var limit: UInt64?
    /// Files as block devices; `,ro` behind one keeps it unchanged.
    public var drives: [String] = []
    /// How the image is entered.
    public var entry = BareImage.EntryMode.auto
    /// Where bytes that are no ELF file go.
    public var loadAddress: UInt64?
    /// The kernel's command line.
    public var bootargs: String?
    /// virtio 1.0 registers.
    public var modernVirtIO = false
    /// What is typed goes to a virtio console.
    public var virtIOConsole = false
    /// There is a virtio random-number device.
    public var virtIORandom = false
    /// What its bytes follow from.
    public var seed: UInt64 = 0
    /// Nanoseconds since 1970 at the start; `nil`: the host's clock.
    public var startOfRun: UInt64?
    /// Figures have a fingerprint of the final state.
    public var hashesState = false
    /// Where the signature goes.
    public var signature: String?

    /// A board with the defaults.
    public init() {}
  }

  /// Runs the image at `path` until it ends.
  public static func run(_ path: String, _ options: Options) -> RunReport {
    do throws(LaunchError) {
      let world = try world(options)
      let session = try BareSession(path, options, chooser: world)
      _ = try session.advance(to: options.limit ?? .max)
      return session.finish()
    } catch {
      return error.report
    }
  }

  /// The user's own world, with the drives of the command line.
  static func world(_ options: Options) throws(LaunchError) -> LiveChooser {
    let world = LiveChooser(Host(seed: options.seed, startOfRun: options.startOfRun))
    let room = BoardMap.virtIOCount - (options.virtIORandom ? 2 : options.virtIOConsole ? 1 : 0)
    guard options.drives.count <= room else {
      throw LaunchError(
        description: "at most \(room) drives fit", status: RunReport.Status.failure)
    }
    for drive in options.drives {
      let (path, isReadOnly) = Self.drive(drive)
      do throws(BlockBackendError) {
        world.drives.append(try FileBlockBackend(path: path, readOnly: isReadOnly))
      } catch {
        throw LaunchError(description: "\(error)", status: RunReport.Status.failure)
      }
    }
    return world
  }

  /// The parts of `--drive`.
  static func drive(_ text: String) -> (path: String, isReadOnly: Bool) {
    text.hasSuffix(",ro") ? (String(text.dropLast(3)), true) : (text, false)
  }
}

/// A bare image on its board, which may start anew.
public final class BareSession {
  private let image: BareImage
  private let path: String
  private let options: BareRun.Options
  private let chooser: any Chooser
  private let console: ChosenConsole
  private let watch = Stopwatch()
  /// Instructions of boards that started anew.
  private var countBefore: UInt64 = 0
  /// The board.
  public private(set) var machine: BareMachine
  /// How the image ended, or that it has not.
  public private(set) var exit = BareExit.limit

  /// Puts the image on a board.
  ///
  /// - Throws: ``LaunchError`` where it can't be read, or is no image.
  public init(
    _ path: String, _ options: BareRun.Options, chooser: any Chooser
  ) throws(LaunchError) {
    self.path = path
    self.options = options
    self.chooser = chooser
    console = ChosenConsole(chooser)
    do throws(HostFileError) {
      let bytes = try chooser.contents(of: path)
      do {
        image = try BareImage(bytes, loadAddress: options.loadAddress)
      } catch {
        throw HostFileError(description: "\(path): \(error)", missing: false)
      }
    } catch {
      throw LaunchError(
        description: error.description,
        status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable)
    }
    machine = try Self.machine(image, path, options, chooser, console)
  }

  private static func machine(
    _ image: BareImage, _ path: String, _ options: BareRun.Options, _ chooser: any Chooser,
    _ console: ChosenConsole
  ) throws(LaunchError) -> BareMachine {
    var configuration = BareConfiguration()
    configuration.architecture = image.architecture
    configuration.memory = options.memory
    configuration.harts = options.harts
    configuration.cacheModel = options.cacheModel
    configuration.engine = options.engine
    configuration.virtIO = options.modernVirtIO ? .modern : .legacy
    configuration.bootargs = options.bootargs
    configuration.virtIOConsole = options.virtIOConsole
    configuration.entropy = options.virtIORandom ? ChosenEntropy(chooser) : nil
    for (index, drive) in options.drives.enumerated() {
      configuration.drives.append(
        ChosenDrive(chooser, index, readOnly: BareRun.drive(drive).isReadOnly))
    }
    if let problem = image.architecture.board.unfit(options) {
      throw LaunchError(
        description: "\(path): an image for \(image.architecture.title): \(problem)",
        status: RunReport.Status.failure)
    }
    guard let machine = BareMachine(configuration, chooser: chooser, console: console) else {
      throw LaunchError(
        description: "the host refuses \(options.memory) bytes of RAM",
        status: RunReport.Status.failure)
    }
    if let problem = image.load(into: machine.ram) {
      throw LaunchError(
        description: "\(path): \(problem)", status: RunReport.Status.notExecutable)
    }
    machine.enter(image, options.entry)
    if let tohost = image.physical(of: "tohost") {
      machine.watchHTIF(tohost: tohost, fromhost: image.physical(of: "fromhost"))
    }
    machine.isInterrupted = { [unowned chooser] in chooser.isInterrupted() }
    return machine
  }

  /// Instructions begun, on all boards.
  public var count: UInt64 { countBefore &+ machine.count }

  /// Runs until the image ends or `limit` instructions have begun.
  ///
  /// - Returns: whether it could go on.
  public func advance(to limit: UInt64) throws(LaunchError) -> Bool {
    while exit == .limit {
      exit = machine.run(limit: limit &- min(countBefore, limit))
      if exit == .limit { return true }
      guard exit == .reset else { return false }
      exit = .limit
      if count >= limit { return true }
      chooser.detach()
      countBefore = count
      machine = try Self.machine(image, path, options, chooser, console)
    }
    return false
  }

  /// The machine is another one's state: it may go on.
  func resume() { exit = .limit }

  /// Whether the board has not been reset.
  var isFirstBoard: Bool { countBefore == 0 }

  /// What came of the run, with its figures; writes the signature.
  public func finish() -> RunReport {
    var report = report(exit)
    if let file = options.signature, let problem = writeSignature(file) {
      report.messages.append(problem)
      if report.status == 0 { report.status = RunReport.Status.failure }
    }
    report.statistics = statistics
    return report
  }

  /// A pc with its symbol.
  public func describe(_ pc: UInt64) -> String {
    "0x\(String(pc, radix: 16))\(symbol(pc).map { " (\($0))" } ?? "")"
  }

  /// The symbol of the image at a pc.
  public func symbol(_ pc: UInt64) -> String? { image.describe(pc) }

  private func report(_ exit: BareExit) -> RunReport {
    let places = machine.harts.map { hart in
      "hart \(hart.index) at pc \(describe(hart.pc))"
    }.joined(separator: ", ")
    switch exit {
    case .finished(let status): return RunReport(status: status)
    case .testFailed(let test):
      let status = Int32(truncatingIfNeeded: test & 0xff)
      return RunReport(status: status == 0 ? 1 : status, "\(path): test \(test) failed")
    case .limit, .reset:
      return RunReport(
        status: RunReport.Status.limit,
        "\(path): stopped at the limit of \(count) instructions, \(places)")
    case .stuck:
      return RunReport(
        status: RunReport.Status.failure,
        "\(path): every hart waits and nothing can wake one, \(places)")
    case .shutDown:
      let why =
        machine.refusal.map { "stopped: \($0)" } ?? "the processor was shut down by a triple fault"
      return RunReport(status: RunReport.Status.failure, "\(path): \(why), \(places)")
    case .interrupted:
      return RunReport(status: RunReport.Status.interrupted, "\(path): interrupted, \(places)")
    }
  }

  private func writeSignature(_ file: String) -> String? {
    guard let begin = image.physical(of: "begin_signature"),
      let end = image.physical(of: "end_signature"), begin <= end
    else { return "--signature: the image has no begin_signature and end_signature" }
    guard let bytes = machine.ram.bytes(begin, Int(clamping: end &- begin)) else {
      return "--signature: the signature is not in RAM"
    }
    var text = ""
    for at in stride(from: 0, to: bytes.count & ~3, by: 4) {
      let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
      let digits = String(word, radix: 16)
      text += String(repeating: "0", count: 8 - digits.count) + digits + "\n"
    }
    return Host.replaceFile(file, with: Array(text.utf8)).map { "--signature: \($0)" }
  }

  private var statistics: String {
    let exceptions = machine.harts.reduce(0) { $0 &+ $1.x[Slot.exceptions] }
    return RunFigures(
      insns: machine.count &- exceptions, exceptions: exceptions, seconds: watch.seconds,
      startup: nil, tlbMisses: machine.harts.reduce(0) { $0 &+ $1.tlbMisses },
      blocks: machine.harts.first?.blocksTranslated ?? 0,
      more: options.hashesState ? [("state hash", machine.stateHash().description)] : []
    ).text
  }
}

/// A chooser's console as that of a bare board.
public final class ChosenConsole: BareConsole {
  private unowned let chooser: any Chooser
  private var arrived: [UInt8] = []
  private var ended = false

  /// Whether the input has ended, then what has arrived.
  public var archivedState: [UInt8] {
    get { [ended ? 1 : 0] + arrived }
    set {
      ended = newValue.first == 1
      arrived = Array(newValue.dropFirst())
    }
  }

  /// The console of `chooser`, which outlives it.
  public init(_ chooser: any Chooser) { self.chooser = chooser }

  /// Prints bytes.
  public func write(_ bytes: [UInt8], stream: Int) {
    _ = chooser.consoleWrite(bytes, stream: stream)
  }

  /// The next byte that has arrived.
  public func next() -> UInt8? {
    if arrived.isEmpty, !ended {
      switch chooser.consoleRead(4096) {
      case .bytes(let bytes): arrived = bytes.reversed()
      case .end: ended = true
      case .notYet: break
      }
    }
    return arrived.popLast()
  }

  /// Waits until a byte has arrived.
  public func waitForInput() -> Bool {
    if !arrived.isEmpty { return true }
    if ended { return false }
    guard chooser.waitForInput() else { return true }
    if let byte = next() {
      arrived.append(byte)
      return true
    }
    return !ended
  }
}

/// A chooser's random bytes as those of a device.
final class ChosenEntropy: EntropySource {
  private unowned let chooser: any Chooser

  init(_ chooser: any Chooser) { self.chooser = chooser }

  func bytes(_ count: Int) -> [UInt8] { chooser.randomBytes(count) }
}
