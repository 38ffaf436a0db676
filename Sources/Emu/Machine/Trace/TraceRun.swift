import Engine
import TraceFile

/// `emu trace`: which instructions a recorded run executed, and what they did.
public enum TraceRun {
  /// What the command line says.
  public struct Options {
    /// The recording, and how it is replayed.
    public var replay = ReplayRun.Options()
    /// The first instruction, by its count.
    public var from: UInt64 = 0
    /// The instruction behind the last.
    public var to: UInt64 = .max
    /// How it is written.
    public var format = InsnFormat.text
    /// Instructions of programs alone.
    public var userOnly = false
    /// Lines of text begin with counts.
    public var showsCounts = true
    /// Where it goes; `nil`: standard output.
    public var output: String?

    /// All of a recording that has no name yet.
    public init() {}
  }

  /// Replays the run and writes its instructions.
  public static func run(_ options: Options) -> RunReport {
    do throws(LaunchError) {
      var replay = options.replay
      replay.isQuiet = true
      let replayed = try ReplayedRun(replay)
      let output: TraceOutput
      do throws(HostFileError) {
        output = try TraceOutput(options.output, name: "trace", isOutput: true)
      } catch {
        throw LaunchError(description: error.description, status: RunReport.Status.failure)
      }
      _ = try replayed.advance(to: options.from)
      try trace(replayed, options, output)
      output.flush()
      var report = RunReport(status: 0)
      if let divergence = replayed.replay.divergence {
        report = replayed.finish()
        if !divergence.isEndOfRecording { return report }
      }
      report.statistics = nil
      if let problem = output.problem {
        return RunReport(status: RunReport.Status.failure, problem)
      }
      return report
    } catch {
      return error.report
    }
  }

  /// Instructions between two looks at whether anybody still reads.
  private static let step: UInt64 = 1 << 16

  private static func trace(
    _ replayed: ReplayedRun, _ options: Options, _ output: TraceOutput
  ) throws(LaunchError) {
    let session = replayed.session
    let isa = session.makeTraceISA()
    var registers: [Int: UInt64] = [:]
    for register in isa.registers { registers[register.slot] = session.hart.x[register.slot] }
    let symbols = SymbolCache(session)
    let writer = InsnWriter(
      options.format, isa, registers: registers, showsCounts: options.showsCounts,
      symbol: symbols.symbol, write: { output.write($0) })
    var tracers: [(Hart, InsnTracer)] = []
    var canGoOn = session.count < options.to
    while canGoOn, output.isOpen, !Interruption.requested {
      if tracers.map({ ObjectIdentifier($0.0) }) != session.harts.map({ ObjectIdentifier($0) }) {
        tracers = session.harts.map { hart in
          let tracer = InsnTracer(
            isa, before: { [unowned hart] in session.countBesides(hart) },
            task: { session.task }, output: writer.add)
          hart.observe(tracer, modes: options.userOnly ? isa.userModes : .max)
          return (hart, tracer)
        }
      }
      let (next, overflow) = session.count.addingReportingOverflow(step)
      canGoOn = try replayed.advance(to: overflow ? options.to : min(next, options.to))
      if session.count >= options.to { canGoOn = false }
    }
    for (hart, tracer) in tracers {
      tracer.close(hart)
      hart.observe(nil)
    }
    writer.finish()
  }
}

/// Symbols by pc and task, asked for once.
private final class SymbolCache {
  private struct Key: Hashable {
    var pc: UInt64
    var task: Int32
  }
  private let session: any GuestSession
  private var names: [Key: String?] = [:]

  init(_ session: any GuestSession) { self.session = session }

  func symbol(_ pc: UInt64) -> String? {
    let key = Key(pc: pc, task: session.task)
    if let name = names[key] { return name }
    if names.count > 1 << 20 { names.removeAll() }
    let name = session.symbol(pc)
    names[key] = .some(name)
    return name
  }
}
