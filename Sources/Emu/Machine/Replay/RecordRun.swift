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
      let recording = RunRecording(world)
      let session = try command.session(recording.recorder)
      try recording.begin(
        options.output, command, schedule: options.schedule.name, namesImages: true)
      let limit = command.limit ?? .max
      while recording.problem == nil {
        let count = session.count
        guard count < limit else { break }
        let (next, overflow) = count.addingReportingOverflow(step)
        guard try session.advance(to: overflow ? limit : min(next, limit)) else { break }
        recording.visit(session, snapshots: options.snapshots)
      }
      return recording.finish(session)
    } catch {
      return error.report
    }
  }
}

/// The version of this program.
public enum EmuVersion {
  /// As `emu --version` and trace files say it.
  public static let text = "0.1.0"
}
