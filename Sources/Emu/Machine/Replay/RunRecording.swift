import Engine
import TraceFile

/// A run that is written into a trace file, from before its machine is made until its end.
///
/// The machine asks ``recorder``. What comes before ``begin(_:_:schedule:namesImages:)`` waits.
public final class RunRecording {
  /// Stands between the machine and the world.
  public let recorder: Recorder
  private let world: LiveChooser
  private let sink = TraceSink()
  private let trail = SnapshotTrail()

  /// A recording of what `world` answers.
  public init(_ world: LiveChooser) {
    self.world = world
    recorder = Recorder(world, into: sink)
  }

  /// Makes the file, once the machine is made.
  ///
  /// - Parameters:
  ///   - path: the trace file.
  ///   - command: what runs.
  ///   - schedule: what it was recorded under, in ``Schedules``' words.
  ///   - namesImages: the files that the run is made of are this host's, and a replay says where they
  ///     have changed since.
  /// - Throws: ``LaunchError`` where the file can't be made.
  public func begin(
    _ path: String, _ command: RecordedCommand, schedule: String, namesImages: Bool
  ) throws(LaunchError) {
    var description = RunDescription()
    description.add("emu", EmuVersion.text)
    description.add("guest", command.guest.rawValue)
    command.describe(&description)
    // Random bytes that follow from no seed are among the answers.
    if world.randomSeed == nil { description["seed"] = nil }
    description.add("schedule", schedule)
    for stream in 0..<3 where world.isTerminal(stream) { description.add("terminal", "\(stream)") }
    if case .program = command { description.add("kernel", Self.kernelDigest) }
    for image in namesImages ? sink.images : [] {
      description.add("image", "\(SHA256.text(image.digest)) \(image.path)")
    }
    do throws(TraceFileError) {
      try sink.begin(path, description)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
  }

  /// The digest of the guest kernels that are built in.
  static var kernelDigest: String {
    SHA256.text(SHA256.hash(ProgramArchitecture.allCases.flatMap(\.kernelImage)))
  }

  /// Why something could not be written.
  public var problem: String? { lastProblem ?? sink.problem }
  private var lastProblem: String?

  /// Between two instructions: writes what has waited long enough.
  ///
  /// - Parameters:
  ///   - session: the run.
  ///   - snapshots: snapshots are taken now and then, to travel by.
  public func visit(_ session: any GuestSession, snapshots: Bool) {
    if snapshots { trail.visit(session) { sink.write(.snapshot, at: session.count, $0) } }
    sink.flushIfDue(at: session.count)
  }

  /// Writes how the run ended, and closes the file.
  ///
  /// - Returns: what came of the run; where the file is not complete the last message says why.
  public func finish(_ session: any GuestSession) -> RunReport {
    // Reports read files of the guest, and so fill its pages.
    let hash = session.stateHash()
    var report = session.finish()
    if sink.problem != nil, report.status == RunReport.Status.limit {
      report = RunReport(status: RunReport.Status.failure)
    }
    var end = RunDescription()
    end.add("status", "\(report.status)")
    end.add("count", "\(session.count)")
    end.add("exceptions", "\(session.hart.x[Slot.exceptions])")
    end.add("state-hash", hash.description)
    for message in report.messages { end.add("message", message) }
    lastProblem = sink.finish(at: session.count, end)
    if let problem = lastProblem {
      report.messages.append("\(problem): the recording is not complete")
      report.status = RunReport.Status.failure
    }
    return report
  }
}
