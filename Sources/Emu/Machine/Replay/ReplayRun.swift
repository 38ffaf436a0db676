import Engine
import GuestKernel
import Probes
import TraceFile

/// `emu replay`: runs what was recorded once more.
public enum ReplayRun {
  /// What the command line says.
  public struct Options {
    /// The trace file.
    public var input = ""
    /// What runs micro-ops.
    public var engine = BackEnd.standard
    /// Passes over damaged chunks.
    public var skipDamaged = false
    /// Figures have a fingerprint of the final state.
    public var hashesState = false
    /// Nothing is printed.
    public var isQuiet = false
    /// The count at which to stop.
    public var to: UInt64?
    /// Definitions of events that are watched; the run stays what it was.
    public var probes: [String] = []
    /// Where their lines go; `nil`: standard error.
    public var traceOutput: String?
    /// How they are written.
    public var traceFormat = TraceFormat.text
    /// What is shown there.
    public var dumps: [StateDump] = []

    /// A file that has no name yet.
    public init() {}
  }

  /// Statuses of `emu replay` that a guest's own may not be mistaken for.
  public enum Status {
    /// The trace can't be read.
    public static let unreadable: Int32 = 122
    /// The run is not the one that was recorded.
    public static let diverged: Int32 = 123
  }

  /// Runs to the end.
  public static func run(_ options: Options) -> RunReport {
    do throws(LaunchError) {
      let replayed = try ReplayedRun(options)
      guard let to = options.to else {
        _ = try replayed.advance(to: .max)
        return replayed.finish()
      }
      let canGoOn = try replayed.travel(to: to)
      return report(replayed, to, canGoOn, options)
    } catch {
      return error.report
    }
  }
}

extension ReplayRun {
  /// What there is where a replay was stopped.
  private static func report(
    _ replayed: ReplayedRun, _ to: UInt64, _ canGoOn: Bool, _ options: Options
  ) -> RunReport {
    let session = replayed.session
    var text = options.dumps.flatMap { $0.lines(session) + [""] }.joined(separator: "\n")
    if text.isEmpty {
      text = "\(session.count): pc \(session.describe(session.hart.pc))\n"
    }
    if let problem = Listing.print(text) {
      return RunReport(status: RunReport.Status.failure, problem)
    }
    if session.count >= to {
      var report = replayed.finish()
      report.status = 0
      report.messages = []
      return report
    }
    // It ends before: the report says how.
    var report = replayed.finish()
    if !canGoOn, report.messages.isEmpty {
      report.messages = ["the run ends at instruction \(session.count), before \(to)"]
    }
    return report
  }
}

/// A recorded run, under way again.
public final class ReplayedRun {
  /// The recording.
  public let recording: RecordedRun
  /// Gives its answers.
  public let replay: Replay
  /// The guest.
  public private(set) var session: any GuestSession
  private let options: ReplayRun.Options
  private let command: RecordedCommand
  private var watch: Watch?
  private var canGoOn = true
  private var notes: [String] = []

  /// Starts what was recorded; no instruction has run.
  ///
  /// - Parameters:
  ///   - options: what the command line says.
  ///   - output: receives what the guest prints; the host's streams without it.
  /// - Throws: ``LaunchError``, where the trace can't be read too.
  public init(
    _ options: ReplayRun.Options, output: (([UInt8], Int) -> Void)? = nil
  ) throws(LaunchError) {
    do throws(TraceFileError) {
      recording = try RecordedRun(options.input, skipDamaged: options.skipDamaged)
    } catch {
      throw LaunchError(
        description: error.named(options.input), status: ReplayRun.Status.unreadable)
    }
    notes = recording.damages.map { "\(options.input): \($0): passed over" }
    try Self.checkKernel(recording, options.input)
    let host = Host(seed: 0, startOfRun: 0)
    let isQuiet = options.isQuiet
    let seed: UInt64?
    do throws(TraceFileError) {
      seed = try recording.description.number("seed")
    } catch {
      throw LaunchError(description: error.description, status: ReplayRun.Status.unreadable)
    }
    let terminals = recording.description.all("terminal")
    replay = Replay(recording, terminals: (0..<3).map { terminals.contains("\($0)") }, seed: seed) {
      if let output {
        output($0, $1)
      } else if !isQuiet {
        _ = host.consoleWrite($0, stream: $1)
      }
    }
    replay.isCutOff = recording.isCutOff
    var command = recording.command
    command.engine = options.engine
    command.hashesState = options.hashesState
    self.options = options
    self.command = command
    session = try Self.start(command, replay, options)
    try wire()
    notes += Self.changedImages(recording)
  }

  /// A machine with nothing run yet.
  private static func start(
    _ command: RecordedCommand, _ replay: Replay, _ options: ReplayRun.Options
  ) throws(LaunchError) -> any GuestSession {
    do throws(LaunchError) {
      return try command.session(replay)
    } catch {
      // A run that was recorded did start.
      guard let divergence = replay.divergence else { throw error }
      throw LaunchError(
        description: divergence.isEndOfRecording
          ? "\(options.input): the recording was cut off before its first instruction"
          : "\(options.input): the replay diverges before its first instruction: "
            + divergence.what,
        status: divergence.isEndOfRecording
          ? ReplayRun.Status.unreadable : ReplayRun.Status.diverged)
    }
  }

  /// Has symbols read from the recording, and probes watch.
  private func wire() throws(LaunchError) {
    guard let program = session as? ProgramSession else { return }
    program.machine.fileBytes = { [unowned recording] in recording.fileBytes($0) }
    watch = try Self.watch(program, options)
  }

  /// Goes to the beginning, on a new machine.
  private func restart() throws(LaunchError) {
    replay.detach()
    replay.archivedState = ChoiceProgress().encoded
    session = try Self.start(command, replay, options)
    canGoOn = true
    try wire()
  }

  /// Events on a run that was recorded without them.
  private struct Watch {
    let watcher: EventWatcher
    let output: TraceOutput
  }

  private static func watch(
    _ program: ProgramSession, _ options: ReplayRun.Options
  ) throws(LaunchError) -> Watch? {
    if options.probes.isEmpty { return nil }
    let output: TraceOutput
    do throws(HostFileError) {
      output = try TraceOutput(options.traceOutput)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.usage)
    }
    let machine = program.machine
    let isa = machine.isa.makeProbeISA()
    let watcher = EventWatcher(
      machine.kernel, isa, program.makeTraceISA(),
      ProgramProbes.world(machine, isa), format: options.traceFormat)
    watcher.output = output.write
    for definition in options.probes {
      do throws(EventError) {
        try watcher.add(definition)
      } catch {
        throw LaunchError(lines: error.lines, status: RunReport.Status.usage)
      }
    }
    machine.hart.observe(watcher)
    return Watch(watcher: watcher, output: output)
  }

  private static func checkKernel(_ recording: RecordedRun, _ path: String) throws(LaunchError) {
    guard let kernel = recording.description["kernel"] else { return }
    let own = RunRecording.kernelDigest
    if kernel != own {
      throw LaunchError(
        description: "\(path): it was recorded with another guest kernel (sha256 "
          + "\(kernel.prefix(16))…) than this emu has (\(own.prefix(16))…)",
        status: ReplayRun.Status.unreadable)
    }
  }

  /// What is said of files that are not any more what they were: their recorded copies run.
  private static func changedImages(_ recording: RecordedRun) -> [String] {
    var lines: [String] = []
    for image in recording.images {
      guard let bytes = try? Host.contents(of: image.path) else { continue }
      let digest = SHA256.text(SHA256.hash(bytes))
      if digest != image.digest {
        lines.append(
          "\(image.path) has changed since (sha256 was \(image.digest.prefix(16))…, is "
            + "\(digest.prefix(16))…): the recorded copy runs")
      }
    }
    return lines
  }

  /// The count at which the recording ends.
  public var end: UInt64? { recording.end?["count"].flatMap { UInt64($0) } }

  /// Runs until `limit` instructions have begun, or the recording ends.
  ///
  /// - Returns: whether it could go on.
  public func advance(to limit: UInt64) throws(LaunchError) -> Bool {
    // Behind the last known answer nothing is known of a run that was cut off.
    let known =
      recording.isCutOff ? recording.reached : recording.command.limit ?? .max
    while canGoOn, session.count < min(limit, known) {
      canGoOn = try session.advance(to: min(limit, known))
      if replay.divergence != nil { canGoOn = false }
    }
    if session.count >= known { canGoOn = false }
    return canGoOn
  }

  /// Goes to where a snapshot of this run was taken.
  public func restore(_ snapshot: MachineSnapshot) throws(SnapshotError) {
    try session.restore(snapshot)
    canGoOn = true
  }

  /// Goes to an instruction: back or forth, from the snapshot that is nearest before it.
  ///
  /// What the guest prints on the way is lost. Without a snapshot before it, from the beginning.
  ///
  /// - Returns: whether the run could go on.
  public func travel(to count: UInt64) throws(LaunchError) -> Bool {
    var isBehind = false
    do throws(TraceFileError) {
      let after = count < session.count ? 0 : session.count
      if let snapshot = try recording.snapshot(before: count, after: after) {
        do throws(SnapshotError) {
          try restore(snapshot)
        } catch {
          throw TraceFileError.malformed("the snapshot at \(snapshot.count): \(error)")
        }
      } else if count < session.count {
        isBehind = true
      }
    } catch {
      throw LaunchError(
        description: "\(recording.file.path): \(error)", status: ReplayRun.Status.unreadable)
    }
    if isBehind { try restart() }
    return try advance(to: count)
  }

  /// What came of it: the run's own report, or the first divergence.
  public func finish() -> RunReport {
    // Reports read files of the guest, and so fill its pages.
    let hash = session.stateHash()
    if let watch {
      watch.output.write(watch.watcher.hits.text(watch.watcher.format))
      watch.output.flush()
      if let problem = watch.output.problem { notes.append(problem) }
    }
    var report = session.finish()
    let own = report.messages
    report.messages = notes
    if let divergence = replay.divergence, !divergence.isEndOfRecording {
      report.status = ReplayRun.Status.diverged
      report.messages.append(
        "the replay diverges at instruction \(divergence.count), pc "
          + "\(session.describe(divergence.pc)): \(divergence.what)")
      return report
    }
    guard let end = recording.end, !recording.isCutOff else {
      report.status = ReplayRun.Status.unreadable
      report.messages.append(
        "the recording was cut off: it is known until instruction \(recording.reached), and the "
          + "replay is at \(session.count), pc \(session.describe(session.hart.pc))")
      return report
    }
    let found = [
      ("status", "\(report.status)"), ("count", "\(session.count)"),
      ("exceptions", "\(session.hart.x[Slot.exceptions])"),
      ("state-hash", hash.description),
    ]
    let differences = found.filter { end[$0.0] != nil && end[$0.0] != $0.1 }
    report.messages += own
    if let entry = replay.unasked {
      report.status = ReplayRun.Status.diverged
      report.messages.append(
        "the replay diverges at its end: the guest did not want \(entry.choice.question) at "
          + "instruction \(entry.count), as recorded")
    } else if !differences.isEmpty {
      report.status = ReplayRun.Status.diverged
      let text = differences.map { "\($0.0) is \($0.1), was \(end[$0.0] ?? "")" }
      report.messages.append("the replay diverges at its end: \(text.joined(separator: ", "))")
    }
    return report
  }
}
