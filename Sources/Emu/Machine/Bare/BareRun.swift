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
    /// Where the signature goes.
    public var signature: String?

    /// A board with the defaults.
    public init() {}
  }

  /// Runs the image at `path` until it ends.
  public static func run(_ path: String, _ options: Options) -> RunReport {
    let image: BareImage
    do {
      let bytes = try Host.contents(of: path)
      image = try BareImage(bytes, loadAddress: options.loadAddress)
    } catch let error as HostFileError {
      return RunReport(
        status: error.missing ? RunReport.Status.notFound : RunReport.Status.notExecutable,
        error.description)
    } catch {
      return RunReport(status: RunReport.Status.notExecutable, "\(path): \(error)")
    }
    var configuration = BareConfiguration()
    configuration.memory = options.memory
    configuration.harts = options.harts
    configuration.cacheModel = options.cacheModel
    configuration.engine = options.engine
    configuration.virtIO = options.modernVirtIO ? .modern : .legacy
    configuration.bootargs = options.bootargs
    configuration.virtIOConsole = options.virtIOConsole
    let host = Host(seed: options.seed)
    configuration.entropy = options.virtIORandom ? host : nil
    let room =
      BoardMap.virtIOCount - (options.virtIORandom ? 2 : options.virtIOConsole ? 1 : 0)
    guard options.drives.count <= room else {
      return RunReport(status: RunReport.Status.failure, "at most \(room) drives fit")
    }
    for drive in options.drives {
      let readOnly = drive.hasSuffix(",ro")
      do {
        configuration.drives.append(
          try FileBlockBackend(
            path: readOnly ? String(drive.dropLast(3)) : drive, readOnly: readOnly))
      } catch {
        return RunReport(status: RunReport.Status.failure, "\(error)")
      }
    }
    return run(image, path, configuration, options, host)
  }

  private static func run(
    _ image: BareImage, _ path: String, _ configuration: BareConfiguration, _ options: Options,
    _ host: Host
  ) -> RunReport {
    let watch = Stopwatch()
    let console = HostConsole(host)
    var left = options.limit ?? .max
    while true {
      guard
        let machine = BareMachine(configuration, console: console, startOfRun: host.startOfRun)
      else {
        return RunReport(
          status: RunReport.Status.failure, "the host refuses \(options.memory) bytes of RAM")
      }
      if let problem = image.load(into: machine.ram) {
        return RunReport(status: RunReport.Status.notExecutable, "\(path): \(problem)")
      }
      switch options.entry {
      case .machine: machine.enterMachineMode(image.entry)
      case .supervisor: machine.enterSupervisorMode(image.entry)
      case .auto:
        if image.base >= BoardMap.supervisorEntry {
          machine.enterSupervisorMode(image.entry)
        } else {
          machine.enterMachineMode(image.entry)
        }
      }
      if let tohost = image.physical(of: "tohost") {
        machine.watchHTIF(tohost: tohost, fromhost: image.physical(of: "fromhost"))
      }
      machine.isInterrupted = { Interruption.requested }
      let exit = machine.run(limit: left)
      if exit == .reset {
        left = left &- min(machine.count, left)
        if left > 0 { continue }
      }
      var report = report(exit, machine, image, path)
      if let file = options.signature, let problem = writeSignature(file, machine, image) {
        report.messages.append(problem)
        if report.status == 0 { report.status = RunReport.Status.failure }
      }
      report.statistics = statistics(machine, watch)
      return report
    }
  }

  private static func report(
    _ exit: BareExit, _ machine: BareMachine, _ image: BareImage, _ path: String
  ) -> RunReport {
    let places = machine.harts.map { hart in
      let pc = hart.pc
      let name = image.describe(pc).map { " (\($0))" } ?? ""
      return "hart \(hart.index) at pc 0x\(String(pc, radix: 16))\(name)"
    }.joined(separator: ", ")
    switch exit {
    case .finished(let status): return RunReport(status: status)
    case .testFailed(let test):
      let status = Int32(truncatingIfNeeded: test & 0xff)
      return RunReport(status: status == 0 ? 1 : status, "\(path): test \(test) failed")
    case .limit, .reset:
      return RunReport(
        status: RunReport.Status.limit,
        "\(path): stopped at the limit of \(machine.count) instructions, \(places)")
    case .stuck:
      return RunReport(
        status: RunReport.Status.failure,
        "\(path): every hart waits and nothing can wake one, \(places)")
    case .interrupted:
      return RunReport(status: RunReport.Status.interrupted, "\(path): interrupted, \(places)")
    }
  }

  private static func writeSignature(
    _ file: String, _ machine: BareMachine, _ image: BareImage
  ) -> String? {
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

  private static func statistics(_ machine: BareMachine, _ watch: Stopwatch) -> String {
    let exceptions = machine.harts.reduce(0) { $0 &+ $1.x[Slot.exceptions] }
    return RunFigures(
      insns: machine.count &- exceptions, exceptions: exceptions, seconds: watch.seconds,
      startup: nil, tlbMisses: machine.harts.reduce(0) { $0 &+ $1.tlbMisses },
      blocks: machine.harts.first?.blocksTranslated ?? 0
    ).text
  }
}

extension Host: EntropySource {
  /// Random bytes of this run.
  public func bytes(_ count: Int) -> [UInt8] { randomBytes(count) }
}

/// The host's standard streams as the console of a bare board.
final class HostConsole: BareConsole {
  private let host: Host
  private var arrived: [UInt8] = []
  private var ended = false

  init(_ host: Host) { self.host = host }

  func write(_ bytes: [UInt8], stream: Int) { _ = host.consoleWrite(bytes, stream: stream) }

  func next() -> UInt8? {
    if arrived.isEmpty, !ended {
      switch host.consoleRead(4096) {
      case .bytes(let bytes): arrived = bytes.reversed()
      case .end: ended = true
      case .notYet: break
      }
    }
    return arrived.popLast()
  }

  func waitForInput() -> Bool {
    if !arrived.isEmpty { return true }
    if ended { return false }
    guard host.waitForInput(milliseconds: -1) else { return true }
    if let byte = next() {
      arrived.append(byte)
      return true
    }
    return !ended
  }
}
