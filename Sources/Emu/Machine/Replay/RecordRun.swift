import Engine
import TraceFile

/// `emu record`: runs a guest and writes down what it can't know itself.
public enum RecordRun {
  /// What the command line says.
  public struct Options {
    /// The trace file.
    public var output = ""
    /// Which harts run when, and how long tasks may.
    public var schedule: any Schedule = RoundRobin()
    /// Snapshots are taken meanwhile, to travel by.
    public var snapshots = true

    /// A file that has no name yet.
    public init() {}
  }

  /// Instructions between two looks at the clock.
  private static let step: UInt64 = 1 << 24

  /// Runs and records.
  public static func run(_ command: RecordedCommand, _ options: Options) -> RunReport {
    do throws(LaunchError) {
      let world = try command.world()
      world.schedule = options.schedule
      let sink = TraceSink()
      let recorder = Recorder(world, into: sink)
      let session = try command.session(recorder)
      do throws(TraceFileError) {
        try sink.begin(options.output, describe(command, options, world, sink))
      } catch {
        throw LaunchError(description: error.description, status: RunReport.Status.failure)
      }
      let limit = command.limit ?? .max
      let trail = SnapshotTrail()
      while sink.problem == nil {
        let count = session.count
        guard count < limit else { break }
        let (next, overflow) = count.addingReportingOverflow(step)
        guard try session.advance(to: overflow ? limit : min(next, limit)) else { break }
        if options.snapshots {
          trail.visit(session) { sink.write(.snapshot, at: session.count, $0) }
        }
        sink.flushIfDue(at: session.count)
      }
      // Reports read files of the guest, and so fill its pages.
      let hash = session.stateHash()
      var report = session.finish()
      if sink.problem != nil, report.status == RunReport.Status.limit {
        report = RunReport(status: RunReport.Status.failure)
      }
      if let problem = sink.finish(at: session.count, end(session, report, hash)) {
        report.messages.append("\(problem): the recording is not complete")
        report.status = RunReport.Status.failure
      }
      return report
    } catch {
      return error.report
    }
  }

  private static func describe(
    _ command: RecordedCommand, _ options: Options, _ world: LiveChooser, _ sink: TraceSink
  ) -> RunDescription {
    var description = RunDescription()
    description.add("emu", EmuVersion.text)
    description.add("guest", command.guest.rawValue)
    command.describe(&description)
    description.add("schedule", options.schedule.name)
    for stream in 0..<3 where world.isTerminal(stream) { description.add("terminal", "\(stream)") }
    if case .program = command { description.add("kernel", kernelDigest) }
    for image in sink.images {
      description.add("image", "\(SHA256.text(image.digest)) \(image.path)")
    }
    return description
  }

  /// The digest of the guest kernels that are built in.
  static var kernelDigest: String {
    let images = ProgramArchitecture.allCases.flatMap { $0.make(compressed: true).kernelImage }
    return SHA256.text(SHA256.hash(images))
  }

  private static func end(
    _ session: any GuestSession, _ report: RunReport, _ hash: StateHash
  ) -> RunDescription {
    var end = RunDescription()
    end.add("status", "\(report.status)")
    end.add("count", "\(session.count)")
    end.add("exceptions", "\(session.hart.x[Slot.exceptions])")
    end.add("state-hash", hash.description)
    for message in report.messages { end.add("message", message) }
    return end
  }
}

/// The version of this program.
public enum EmuVersion {
  /// As `emu --version` and trace files say it.
  public static let text = "0.1.0"
}
